//! The HTML report in a browser: nothing is loaded, nothing is violated, it can be read by eyes in
//! light and in the dark, heard, used with keys, and printed.

use serde_json::{Value, json};

use super::chromium::Chromium;
use super::scene::Scene;

const RUN: &str = "20260321-2100-0007";

/// The report of a run that went wrong in many ways.
fn report() -> (Scene, Chromium) {
    let scene = Scene::new(
        r#"
import "./lib/site" as site;
plan(#{ name: "</script><b>shop", version: "2.4.0", environment: "production", why: "new checkout",
        owner: "web team", support: "call 4711", deadline: "1h" });
check("there is a shell", || file_exists("/bin/sh"));
let kernel = probe("uname");
info("the office is told");
watch("front page", #{ every: "20ms", observe: true }, || false);
step("switch", || { site::switch_to("2.4.0"); });
for n in 1..=4 { run(`sleep 0.05; echo warm ${n}`, #{ title: `warm ${n}`, back_out: () }); }
run("touch made", #{ title: "make", back_out: "echo cannot; exit 2" });
run("for n in $(seq 300); do echo \"line $n\"; done; echo '<b>no</b>' >&2; exit 3", #{ title: "migrate", back_out: (), retries: 1, retry_delay: "1ms" });
"#,
    );
    std::fs::create_dir(scene.path("lib")).expect("a directory");
    let module = "fn switch_to(version) { write_file(\"current\", version); }\n";
    scene.write("lib/site.rhai", module);
    scene.run(&["run", "plan.rhai"]).expect(4);
    scene.run(&["show", RUN, "-o", "report.html"]).expect(0);
    let browser = Chromium::open(&scene.path("report.html"));
    (scene, browser)
}

#[track_caller]
pub fn is_quiet(browser: &Chromium) {
    for event in [
        "Runtime.exceptionThrown",
        "Runtime.consoleAPICalled",
        "Log.entryAdded",
    ] {
        let told = browser.told(event);
        assert!(told.is_empty(), "{event}: {told:?}");
    }
    let urls: Vec<&Value> = browser
        .told("Network.requestWillBeSent")
        .into_iter()
        .map(|sent| &sent["request"]["url"])
        .collect();
    assert!(
        urls.len() == 1 && urls[0].as_str().is_some_and(|url| url.ends_with(".html")),
        "{urls:?}"
    );
}

/// Texts whose contrast to what is behind them is below 4.5.
pub const PALE: &str = r#"
(() => {
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => ({
    r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a),
    b: top.b * top.a + below.b * (1 - top.a), a: 1,
  });
  const light = ({ r, g, b }) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
  };
  const found = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("script, style, svg, .vh")) continue;
    if (!element.checkVisibility()) continue;
    looked += 1;
    const back = behind(element);
    const [a, b] = [light(over(parse(getComputedStyle(element).color), back)), light(back)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(contrast.toFixed(2) + " " + element.outerHTML.slice(0, 120));
  }
  return { looked, found };
})()
"#;

#[test]
fn nothing_is_loaded_or_violated_and_texts_can_be_read() {
    let (_scene, mut browser) = report();
    let title = browser.value("document.title");
    assert_eq!(title, "Stuck: </script><b>shop 2.4.0 → production");
    assert_eq!(browser.value("document.querySelectorAll('b').length"), 0);
    browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })");
    for scheme in ["light", "dark"] {
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        browser.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
        let is_dark = browser.value("matchMedia('(prefers-color-scheme: dark)').matches");
        assert_eq!(is_dark, scheme == "dark");
        let pale = browser.value(PALE);
        assert!(pale["looked"].as_u64() > Some(200), "{scheme}: {pale}");
        assert_eq!(pale["found"], json!([]), "{scheme}");
    }
    is_quiet(&browser);
}

#[test]
fn it_fits_a_phone_and_paper() {
    let (_scene, mut browser) = report();
    browser.fits_a_phone_and_paper();
    is_quiet(&browser);
}

#[test]
fn it_can_be_heard_and_used_with_keys() {
    let (_scene, mut browser) = report();
    let of = browser.heard();
    assert_eq!(of("banner").len(), 1);
    assert_eq!(of("main").len(), 1);
    assert_eq!(of("navigation"), ["Parts of this report"]);
    assert!(
        of("region").iter().any(|name| name == "What happened"),
        "{:?}",
        of("region")
    );
    let headings = of("heading");
    let first = headings.first().cloned().unwrap_or_default();
    assert!(
        first.contains("Stuck") && first.contains("shop 2.4.0"),
        "{first}"
    );
    for role in [
        "link",
        "button",
        "checkbox",
        "searchbox",
        "table",
        "columnheader",
    ] {
        let names = of(role);
        assert!(
            !names.is_empty() && names.iter().all(|name| !name.is_empty()),
            "{role}"
        );
    }
    let one = browser.value("document.querySelectorAll('h1').length");
    assert_eq!(one, 1);
    let jumps = browser.value(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => +h.tagName[1])
            .filter((level, n, all) => n > 0 && level > all[n - 1] + 1).length",
    );
    assert_eq!(jumps, 0);
    // Without the script the filter would be of no use; with it, it is there.
    let focused = "document.activeElement.closest('.step')?.id ?? ''";
    browser.key("j");
    assert_eq!(browser.value(focused), "step-7");
    browser.key("j");
    browser.key("j");
    browser.key("k");
    let second = browser.value("[...document.querySelectorAll('.step')][1].id");
    assert_eq!(browser.value(focused), second);
    browser.value("document.querySelector('[name=keys]').checked = false");
    browser.key("j");
    assert_eq!(browser.value(focused), second);
    let filtered = browser.value(
        "(() => {
            const form = document.querySelector('.filter');
            form.elements.text.value = 'WARM 3';
            form.dispatchEvent(new Event('input'));
            const shown = [...document.querySelectorAll('#steps .step')].filter((s) => !s.hidden);
            return [shown.length, form.elements.count.value];
        })()",
    );
    assert_eq!(filtered, json!([1, "1 of 7 shown"]));
    // A link leads to what is folded away and filtered out.
    browser.value("location.hash = '#step-7'");
    let open = "new Promise((done) => setTimeout(() => {
        const step = document.getElementById('step-7');
        done([step.open, step.hidden]);
    }))";
    assert_eq!(browser.value(open), json!([true, false]));
    is_quiet(&browser);
}
