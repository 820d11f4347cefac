//! What `deployrun.toml` says of libraries: `[library]` and `[libraries]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Manifest, Origin, Reference, check_name, directory_of_a_repository};
use crate::words::version::{Requirement, Scheme};

/// The two tables, as they are written.
#[derive(Debug, Default, Deserialize)]
struct Tables {
    library: Option<LibraryTable>,
    #[serde(default)]
    libraries: BTreeMap<String, OriginTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LibraryTable {
    name: String,
    version: String,
    #[serde(default)]
    description: String,
    deployrun: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OriginTable {
    path: Option<String>,
    git: Option<String>,
    tag: Option<String>,
    rev: Option<String>,
    branch: Option<String>,
}

/// What a `deployrun.toml` declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The library that it is, if it is one.
    pub library: Option<Manifest>,
    /// The libraries that it wants.
    pub wants: BTreeMap<String, Origin>,
}

/// Reads the text of a `deployrun.toml`; other tables are not looked at.
///
/// # Errors
/// When a table is not as it must be.
pub fn parse(text: &str) -> Result<Declared, String> {
    let tables: Tables = toml::from_str(text).map_err(|e| e.to_string().trim().to_owned())?;
    let mut wants = BTreeMap::new();
    for (name, table) in tables.libraries {
        check_name(&name)?;
        let origin = origin(table).map_err(|problem| format!("[libraries] {name}: {problem}"))?;
        wants.insert(name, origin);
    }
    let library = tables
        .library
        .map(|table| manifest(table, wants.clone()))
        .transpose()
        .map_err(|problem| format!("[library]: {problem}"))?;
    Ok(Declared { library, wants })
}

fn manifest(table: LibraryTable, needs: BTreeMap<String, Origin>) -> Result<Manifest, String> {
    check_name(&table.name)?;
    if needs.contains_key(&table.name) {
        return Err(format!("`{}` can't need itself", table.name));
    }
    if let Some(wanted) = &table.deployrun {
        let wanted = Requirement::parse(wanted).map_err(|e| format!("deployrun: {e}"))?;
        let this = env!("CARGO_PKG_VERSION");
        if !wanted.matches(Scheme::Generic, this) {
            return Err(format!(
                "`{}` {} wants deployrun {}, and this is {this}",
                table.name,
                table.version,
                table.deployrun.as_deref().unwrap_or_default()
            ));
        }
    }
    Ok(Manifest {
        version: table.version.parse()?,
        name: table.name,
        description: table.description,
        deployrun: table.deployrun,
        needs,
    })
}

fn origin(table: OriginTable) -> Result<Origin, String> {
    let references = [
        table.tag.map(Reference::Tag),
        table.rev.map(Reference::Rev),
        table.branch.map(Reference::Branch),
    ];
    let mut references = references.into_iter().flatten();
    let (reference, more) = (references.next(), references.next());
    match (table.path, table.git) {
        (Some(path), None) if reference.is_none() => Ok(Origin::Path(path)),
        (Some(_), None) => Err("a path has no tag, rev or branch".into()),
        (_, Some(_)) if more.is_some() => Err("write one of tag, rev and branch".into()),
        (_, Some(url)) if url.is_empty() || url.starts_with('-') => {
            Err(format!("`{url}` is nothing that git could fetch"))
        }
        (path, Some(url)) => Ok(Origin::Git {
            url,
            reference: reference.unwrap_or(Reference::Default),
            within: path.as_deref().map(directory_of_a_repository).transpose()?,
        }),
        (None, None) => Err("write path = \"…\" or git = \"…\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_names_its_libraries() {
        let declared = parse(
            "[check]\nx = \"deny\"\n[libraries]\nplatform = { git = \"ssh://git@h/p\", tag = \"v1\" }\n\
             web = { path = \"../web\" }\nbase.git = \"/srv/base\"\n\
             mono = { git = \"/srv/mono\", branch = \"main\", path = \"./libs//mono/\" }\n",
        )
        .unwrap();
        let shown: Vec<String> = declared
            .wants
            .iter()
            .map(|(name, origin)| format!("{name} {origin}"))
            .collect();
        assert_eq!(
            shown,
            [
                "base git+/srv/base",
                "mono git+/srv/mono#branch=main&path=libs/mono",
                "platform git+ssh://git@h/p#tag=v1",
                "web path+../web"
            ]
        );
        assert_eq!(declared.library, None);
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (text, problem) in [
            (
                "[libraries]\nstd = { path = \"x\" }",
                "`std` is what deployrun itself brings",
            ),
            (
                "[libraries]\na = {}",
                "[libraries] a: write path = \"…\" or git = \"…\"",
            ),
            (
                "[libraries]\na = { path = \"../x\", git = \"y\" }",
                "[libraries] a: `../x` is no directory in a repository",
            ),
            (
                "[libraries]\na = { path = \"x\", tag = \"y\" }",
                "[libraries] a: a path has no tag",
            ),
            (
                "[libraries]\na = { git = \"x\", tag = \"y\", rev = \"z\" }",
                "write one of tag, rev and branch",
            ),
            (
                "[libraries]\na = { git = \"--upload-pack=x\" }",
                "is nothing that git could fetch",
            ),
            ("[libraries]\na = { gti = \"x\" }", "unknown field `gti`"),
            (
                "[library]\nname = \"a\"\nversion = \"1\"",
                "`1` is no version",
            ),
            (
                "[library]\nname = \"a\"\nversion = \"1.0.0\"\ndeployrun = \">= 99\"",
                "wants deployrun >= 99, and this is",
            ),
            (
                "[library]\nname = \"a\"\nversion = \"1.0.0\"\n[libraries]\na.path = \"x\"",
                "can't need itself",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(problem), "{text}\n{error}");
        }
    }
}
