"use strict";
(() => {
  const bar = document.querySelector("search");
  const form = bar.querySelector("form");
  const { text, count } = form.elements;
  const list = document.getElementById("found");
  const MOST = 40;

  // Everything that can be found is in the page already.
  const about = (element) => element.querySelector(":scope > p")?.textContent.replace(/\s+/g, " ") ?? "";
  const entry = (element, name) => ({
    id: element.id, name, what: about(element),
    last: name.split("::").pop().toLowerCase(),
    low: name.toLowerCase(), all: element.textContent.toLowerCase(),
  });
  const entries = [
    ...[...document.querySelectorAll("article[data-name]")].map((one) => entry(one, one.dataset.name)),
    ...[...document.querySelectorAll(".of-module")].map((one) => {
      const name = one.querySelector("h3").textContent;
      const module = entry(one, name);
      return { ...module, last: name.split("/").pop().toLowerCase(), all: (name + " " + module.what).toLowerCase() };
    }),
  ];

  /// The lower, the better; nothing when a word is nowhere in it.
  const rank = (one, words) => {
    let sum = 0;
    for (const word of words) {
      if (one.last === word || one.low === word) sum += 0;
      else if (one.last.startsWith(word)) sum += 1;
      else if (one.low.includes(word)) sum += 2;
      else if (one.what.toLowerCase().includes(word)) sum += 4;
      else if (one.all.includes(word)) sum += 8;
      else return;
    }
    return sum;
  };

  const row = (one) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const name = document.createElement("code");
    const what = document.createElement("span");
    link.href = "#" + one.id;
    name.textContent = one.name;
    what.className = "what";
    what.textContent = one.what;
    link.append(name, " ", what);
    item.append(link);
    return item;
  };

  const look = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = !words.length ? [] : entries
      .map((one) => [rank(one, words), one])
      .filter(([n]) => n !== undefined)
      .sort(([a, one], [b, other]) => a - b || one.name.length - other.name.length || (one.name < other.name ? -1 : 1));
    list.replaceChildren(...found.slice(0, MOST).map(([, one]) => row(one)));
    list.hidden = !found.length;
    const more = found.length > MOST ? ", the first " + MOST + " are shown" : "";
    count.value = !words.length ? "" : found.length ? found.length + " found" + more : "nothing found";
  };
  const close = () => {
    text.value = "";
    look();
  };

  bar.hidden = false;
  form.addEventListener("input", look);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.click();
  });
  list.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    close();
    location.hash = link.hash;
    // The next Tab goes on from there.
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      text.focus();
      text.select();
    } else if (event.key === "Escape" && bar.contains(event.target)) {
      close();
      text.focus();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && bar.contains(event.target) && !list.hidden) {
      event.preventDefault();
      const links = [...list.querySelectorAll("a")];
      const at = links.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      (at < 0 ? text : links[Math.min(at, links.length - 1)]).focus();
    }
  });
})();
