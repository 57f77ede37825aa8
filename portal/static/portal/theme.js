/* Colours before the first paint: light, dark, or like the system. Loaded in the head, not deferred, on purpose. */
(function () {
  "use strict";
  const KEY = "portal-theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;

  function chosen() {
    try {
      const value = window.localStorage.getItem(KEY);
      return value === "light" || value === "dark" ? value : "auto";
    } catch {
      return "auto"; // storage is blocked: the choice lasts for this page
    }
  }

  function apply(choice) {
    root.dataset.themeChoice = choice;
    root.dataset.bsTheme = choice === "auto" ? (system.matches ? "dark" : "light") : choice;
    document.querySelectorAll("[data-theme-set]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.themeSet === choice));
    });
  }

  root.classList.add("js");
  apply(chosen());
  system.addEventListener("change", () => root.dataset.themeChoice === "auto" && apply("auto"));
  document.addEventListener("DOMContentLoaded", () => apply(root.dataset.themeChoice));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-theme-set]");
    if (!button) return;
    try {
      window.localStorage.setItem(KEY, button.dataset.themeSet);
    } catch {
      // storage is blocked: the choice lasts for this page
    }
    apply(button.dataset.themeSet);
  });
})();
