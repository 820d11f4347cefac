//! The HTML of `deployrun doc` in a browser: nothing is loaded or interpreted, it can be read, heard,
//! searched and used with keys.

use serde_json::json;

use super::browser::{PALE, is_quiet};
use super::chromium::Chromium;
use super::documenting::Project;

fn page() -> (Project, Chromium) {
    let project = Project::new();
    project.run(&["doc", "--output", "api"]).expect(0);
    let browser = Chromium::open(&project.scene.path("api/index.html"));
    (project, browser)
}

#[test]
fn nothing_of_a_comment_is_taken_for_html() {
    let (_project, mut browser) = page();
    for selector in [
        "img",
        "main b",
        "main script",
        "a[href^='javascript']",
        "[onerror]",
    ] {
        let found = format!("document.querySelectorAll(\"{selector}\").length");
        assert_eq!(browser.value(&found), 0, "{selector}");
    }
    let text = browser.value("document.getElementById('platform/postgres::migrate').textContent");
    let text = text.as_str().expect("a text");
    for part in [
        "Migrates a database <b>now</b>, or never. a picture",
        "<img src=x onerror=alert(1)>",
        "pg::migrate(\"</code><script>alert(1)</script>\");",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    for scheme in ["light", "dark"] {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        browser.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
        let pale = browser.value(PALE);
        assert!(pale["looked"].as_u64() > Some(500), "{scheme}: {pale}");
        assert_eq!(pale["found"], json!([]), "{scheme}");
    }
    is_quiet(&browser);
}

#[test]
fn every_link_leads_somewhere_and_the_page_fits_a_phone() {
    let (_project, mut browser) = page();
    let lost = browser.value(
        "[...document.querySelectorAll('a[href^=\"#\"]')]
            .map((link) => decodeURIComponent(link.hash.slice(1)))
            .filter((id) => !document.getElementById(id))",
    );
    assert_eq!(lost, json!([]));
    let twice = browser.value(
        "[...document.querySelectorAll('[id]')].map((one) => one.id)
            .filter((id, n, all) => all.indexOf(id) !== n)",
    );
    assert_eq!(twice, json!([]));
    let within = |browser: &mut Chromium, id: &str| {
        browser.value(&format!(
            "[...document.getElementById('{id}').querySelectorAll('p a, pre a')].map((a) => a.getAttribute('href'))"
        ))
    };
    assert_eq!(
        within(&mut browser, "./lib/site::publish"),
        json!([
            "#run",
            "#platform/postgres::migrate",
            "https://example.org/a",
            "#platform/postgres::migrate",
            "#./lib/site::publish"
        ])
    );
    browser.fits_a_phone_and_paper();
    is_quiet(&browser);
}

#[test]
fn it_can_be_heard_and_searched_with_keys() {
    let (_project, mut browser) = page();
    let of = browser.heard();
    assert_eq!(of("banner").len(), 1);
    assert_eq!(of("main").len(), 1);
    assert_eq!(of("navigation"), ["Modules"]);
    assert_eq!(of("searchbox"), ["Search"]);
    assert!(
        of("heading").iter().any(|name| name == "./lib/site"),
        "{:?}",
        of("heading")
    );
    for role in ["link", "heading", "rowheader"] {
        let names = of(role);
        assert!(
            !names.is_empty() && names.iter().all(|name| !name.is_empty()),
            "{role}: {names:?}"
        );
    }
    let named = of("table").iter().filter(|name| !name.is_empty()).count();
    // Only those of comments have no caption.
    assert_eq!(of("table").len() - named, 1, "{:?}", of("table"));
    let jumps = browser.value(
        "[...document.querySelectorAll('h1, h2, h3, h4, h5')].map((h) => +h.tagName[1])
            .filter((level, n, all) => n > 0 && level > all[n - 1] + 1).length",
    );
    assert_eq!(jumps, 0);

    browser.key("/");
    assert_eq!(browser.value("document.activeElement.name"), "text");
    for key in ["p", "u", "t"] {
        browser.key(key);
    }
    assert_eq!(browser.value("document.activeElement.value"), "put");
    let found = "[...document.querySelectorAll('#found a code')].map((one) => one.textContent)";
    let names = browser.value(found);
    assert_eq!(names[0], "std/files::put", "{names}");
    let count = browser.value("document.querySelector('output').value");
    assert!(
        count.as_str().is_some_and(|count| count.contains(" found")),
        "{count}"
    );
    browser.named_key("ArrowDown");
    browser.named_key("ArrowDown");
    browser.named_key("ArrowUp");
    let at = "document.activeElement.getAttribute('href')";
    assert_eq!(browser.value(at), "#std/files::put");
    browser.named_key("Enter");
    assert_eq!(browser.value("location.hash"), "#std/files::put");
    assert_eq!(browser.value("document.activeElement.id"), "std/files::put");
    assert_eq!(
        browser.value("document.getElementById('found').hidden"),
        true
    );
    // Several words, in any order; what nobody has is told.
    for (words, first) in [
        ("bits publish", json!("./lib/site::publish")),
        ("picture never", json!("platform/postgres::migrate")),
        ("zzz", json!(null)),
    ] {
        let typed = format!(
            "(() => {{ const form = document.querySelector('search form'); form.elements.text.value = '{words}';
                form.dispatchEvent(new Event('input')); return {found}[0] ?? null; }})()"
        );
        assert_eq!(browser.value(&typed), first, "{words}");
    }
    assert_eq!(
        browser.value("document.querySelector('output').value"),
        "nothing found"
    );
    browser.key("/");
    is_quiet(&browser);
}
