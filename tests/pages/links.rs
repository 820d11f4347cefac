//! Every link within the project leads to a page, and to a heading that is there.

use std::path::{Component, Path, PathBuf};

use super::markdown::{Page, pages, root};

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in &pages {
        for link in links(page) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            if let Err(problem) = follow(page, &link, &pages) {
                broken.push(format!("{}: {link}: {problem}", page.name));
            }
        }
    }
    assert!(seen > 30, "only {seen} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_index_names_every_page_of_the_manual() {
    let pages = pages();
    let index = pages.iter().find(|p| p.name == "docs/README.md");
    let links = links(index.expect("an index"));
    let missing: Vec<&str> = pages
        .iter()
        .filter_map(|page| page.name.strip_prefix("docs/"))
        .filter(|name| *name != "README.md" && !links.iter().any(|link| link == name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/README.md does not name {missing:?}"
    );
}

fn links(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let parts = prose.split("](").skip(1);
    parts
        .map(|part| part.split([')', ' ']).next().unwrap_or_default().to_owned())
        .collect()
}

fn follow(page: &Page, link: &str, pages: &[Page]) -> Result<(), String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() {
        page.name.clone()
    } else {
        let dir = Path::new(&page.name).parent().expect("a directory");
        let path = plain(&dir.join(file));
        if !root().join(&path).exists() {
            return Err("there is no such file".into());
        }
        path.display().to_string()
    };
    if anchor.is_empty() {
        return Ok(());
    }
    let target = pages.iter().find(|page| page.name == target);
    let target = target.ok_or("it is no page, and has no headings")?;
    if target.anchors().iter().any(|a| a == anchor) {
        Ok(())
    } else {
        Err(format!("its headings are {:?}", target.anchors()))
    }
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
