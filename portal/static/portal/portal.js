/* Small comforts of the pages. Every page works without them; nothing here decides anything. */
(function () {
  "use strict";

  const digits = (text) => text.replace(/[\s.,'’]/g, "");

  function announce(text) {
    const region = document.getElementById("announcer");
    if (region) region.textContent = text;
  }

  /* --- copy buttons: <button data-copy="text"> --- */
  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // over plain HTTP browsers have no clipboard object
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("not copied");
  }

  async function onCopy(button) {
    try {
      await copy(button.dataset.copy);
    } catch {
      announce("Copying did not work. Please select the text and copy it by hand.");
      return;
    }
    announce("Copied");
    button.classList.add("copied");
    window.setTimeout(() => button.classList.remove("copied"), 1500);
  }

  /* --- submit buttons: one click, one request. Forms that only read or that answer with a file stay as they are. --- */
  function onSubmit(event) {
    const form = event.target;
    // By attribute: a field named "method" would hide the form's property.
    const posts = (form.getAttribute("method") || "").toLowerCase() === "post";
    const stays = form.getAttribute("target") === "_blank" || "stays" in form.dataset;
    if (event.defaultPrevented || !posts || stays) return;
    // After this turn, so that the pressed button's own name and value are still sent.
    window.setTimeout(() => {
      document.querySelectorAll('button[type="submit"], input[type="submit"]').forEach((button) => {
        if (button.form !== form || button.disabled) return;
        button.disabled = true;
        button.dataset.busy = "";
        if (button === event.submitter) button.setAttribute("aria-busy", "true");
      });
    });
  }

  function release() {
    document.querySelectorAll("[data-busy]").forEach((button) => {
      button.disabled = false;
      button.removeAttribute("aria-busy");
      delete button.dataset.busy;
    });
    document.querySelectorAll("[data-confirm-number]").forEach(checkNumber);
  }

  /* --- <input data-confirm-number data-expected="1204" data-enables="id of the button"> --- */
  function checkNumber(input) {
    const button = document.getElementById(input.dataset.enables);
    if (button) button.disabled = digits(input.value) !== digits(input.dataset.expected);
  }

  /* --- <input type="checkbox" data-select-all="name">, and <span data-selected-count="name"> --- */
  const boxes = (name) => [...document.querySelectorAll('input[type="checkbox"]')].filter((box) => box.name === name);

  function showSelection(name) {
    const all = boxes(name);
    const chosen = all.filter((box) => box.checked).length;
    document.querySelectorAll("[data-select-all]").forEach((head) => {
      if (head.dataset.selectAll !== name) return;
      head.checked = chosen > 0 && chosen === all.length;
      head.indeterminate = chosen > 0 && chosen < all.length;
    });
    document.querySelectorAll("[data-selected-count]").forEach((place) => {
      if (place.dataset.selectedCount === name) place.textContent = chosen.toLocaleString("en-GB");
    });
  }

  function onChange(event) {
    const input = event.target;
    if (input.dataset.selectAll) {
      boxes(input.dataset.selectAll).forEach((box) => (box.checked = input.checked));
      showSelection(input.dataset.selectAll);
    } else if (input.type === "checkbox" && input.name) {
      showSelection(input.name);
    } else if (input.type === "file" && input.dataset.fileName) {
      showFile(input);
    }
  }

  /* --- <input type="file" data-file-name="id of the place for name and size"> --- */
  function showFile(input) {
    const place = document.getElementById(input.dataset.fileName);
    const file = input.files[0];
    if (!place) return;
    const kilobytes = file ? Math.max(1, Math.round(file.size / 1024)).toLocaleString("en-GB") : "";
    place.textContent = file ? `${file.name}, ${kilobytes} kB` : "No file chosen";
  }

  /* --- <a href="/same/as/a/page" data-dialog-open="id">, <button data-dialog-close> --- */
  function openDialog(event, opener) {
    const dialog = document.getElementById(opener.dataset.dialogOpen);
    if (!dialog || typeof dialog.showModal !== "function") return;
    event.preventDefault();
    dialog.showModal(); // the browser keeps the focus inside and gives it back to the opener
  }

  /* --- menus: <details class="menu"> close by Escape and by a click elsewhere --- */
  function closeMenus(except) {
    document.querySelectorAll("details.menu[open]").forEach((menu) => {
      if (menu !== except) menu.open = false;
    });
  }

  function onClick(event) {
    const copyButton = event.target.closest("[data-copy]");
    const opener = event.target.closest("[data-dialog-open]");
    const closer = event.target.closest("[data-dialog-close]");
    closeMenus(event.target.closest("details.menu"));
    if (copyButton) onCopy(copyButton);
    if (opener) openDialog(event, opener);
    if (closer) closer.closest("dialog").close();
  }

  function onKey(event) {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    if (!menu) return;
    closeMenus(null);
    menu.querySelector("summary").focus();
  }

  /* --- a fragment with data-title="62 % · Run 12" renames the tab, so that progress is seen from another one --- */
  const pageTitle = document.title;

  function rename(root) {
    const named = root.matches("[data-title]") ? root : root.querySelector("[data-title]");
    if (named) document.title = named.dataset.title ? `${named.dataset.title} · ${pageTitle}` : pageTitle;
  }

  function prepare(root) {
    root.querySelectorAll("[data-confirm-number]").forEach(checkNumber);
    root.querySelectorAll("[data-select-all]").forEach((head) => showSelection(head.dataset.selectAll));
  }

  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("change", onChange);
  document.addEventListener("submit", onSubmit);
  document.addEventListener("input", (event) => {
    if ("confirmNumber" in event.target.dataset) checkNumber(event.target);
  });
  document.addEventListener("htmx:load", (event) => {
    prepare(event.detail.elt);
    rename(event.detail.elt);
  });
  window.addEventListener("pageshow", (event) => event.persisted && release());
  prepare(document);
  rename(document.body);
})();
