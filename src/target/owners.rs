//! Users and groups by name, as the files of this machine have them.

use std::fs;

/// User and group ids of `user` or `user:group`, by name or number.
pub(super) fn ids(owner: &str) -> Result<(u32, u32), String> {
    let (user, group) = match owner.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (owner, None),
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry = passwd
        .lines()
        .map(|l| l.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&user) || fields.get(2) == Some(&user));
    let number = |fields: &[&str], at: usize| fields.get(at).and_then(|n| n.parse().ok());
    let uid = match &entry {
        Some(fields) => number(fields, 2),
        None => user.parse().ok(),
    };
    let uid = uid.ok_or_else(|| format!("there is no user `{user}`"))?;
    let gid = match group {
        None => entry
            .as_ref()
            .and_then(|fields| number(fields, 3))
            .unwrap_or(uid),
        Some(group) => {
            let groups = fs::read_to_string("/etc/group").unwrap_or_default();
            let found = groups
                .lines()
                .map(|l| l.split(':').collect::<Vec<_>>())
                .find(|fields| fields.first() == Some(&group) || fields.get(2) == Some(&group));
            found
                .and_then(|fields| number(&fields, 2))
                .or_else(|| group.parse().ok())
                .ok_or_else(|| format!("there is no group `{group}`"))?
        }
    };
    Ok((uid, gid))
}

/// The name of the user with this id; the number when there is none.
pub(super) fn user(uid: u32) -> String {
    name_in("/etc/passwd", uid)
}

/// The name of the group with this id; the number when there is none.
pub(super) fn group(gid: u32) -> String {
    name_in("/etc/group", gid)
}

fn name_in(file: &str, id: u32) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let number = id.to_string();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    found.unwrap_or(number)
}
