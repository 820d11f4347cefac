"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const form = document.querySelector(".filter");
  const steps = all("details.step");

  // What a link leads to is shown, however deep it is folded away.
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let at = target; at; at = at.parentElement) {
      if (at.tagName === "DETAILS") at.open = true;
      at.hidden = false;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // On paper nothing can be opened; of steps that succeeded a line each is enough.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])").filter((one) => !one.matches(".brief, .step.good"));
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
  });

  const copied = (button, words) => {
    button.textContent = words;
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  for (const block of all(".cmd")) {
    const code = block.querySelector("code");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy: " + code.textContent.slice(0, 100));
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        copied(button, "Copied");
      } catch {
        getSelection().selectAllChildren(code);
        copied(button, "Press Ctrl-C");
      }
    });
    block.prepend(button);
  }

  if (!form) return;
  form.hidden = false;
  const { text, bad, keys, fold, count } = form.elements;
  const mine = all("details.step", form.parentElement);
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    let shown = 0;
    for (const step of mine) {
      const is = (!bad.checked || !step.classList.contains("good")) &&
        (!wanted || step.textContent.toLowerCase().includes(wanted));
      step.hidden = !is;
      if (is) shown += 1;
    }
    count.value = wanted || bad.checked ? shown + " of " + mine.length + " shown" : "";
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  fold.addEventListener("click", () => {
    const open = fold.textContent === "Open all";
    for (const step of mine) step.open = open;
    fold.textContent = open ? "Close all" : "Open all";
  });

  addEventListener("keydown", (event) => {
    const by = { j: 1, k: -1 }[event.key];
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (!by || !keys.checked || event.ctrlKey || event.metaKey || event.altKey || typing && typing.type !== "checkbox") return;
    const shown = steps.filter((step) => step.offsetParent !== null);
    const focused = event.target.closest("details.step");
    let at = shown.indexOf(focused);
    if (at < 0) {
      const next = shown.findIndex((step) => step.getBoundingClientRect().top >= 0);
      at = by > 0 ? (next < 0 ? shown.length : next) - 1 : (next < 0 ? shown.length : next);
    }
    const step = shown[at + by];
    if (!step) return;
    event.preventDefault();
    const summary = step.querySelector("summary");
    summary.focus({ preventScroll: true });
    summary.scrollIntoView({ block: "center" });
  });
})();
