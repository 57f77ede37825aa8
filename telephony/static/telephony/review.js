/* Keys of the review: J and K walk the calls, 1 to 9 choose a record of the call that has the focus. */
(function () {
  "use strict";

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const cards = [...document.querySelectorAll(".review-card")];
    const here = cards.findIndex((card) => card.contains(document.activeElement));
    const step = { j: 1, k: -1 }[event.key.toLowerCase()];
    if (step) {
      const next = cards[Math.min(Math.max(here + step, 0), cards.length - 1)];
      if (next) next.focus();
      return;
    }
    if (here < 0 || !/^[1-9]$/.test(event.key)) return;
    const button = cards[here].querySelector(`[data-choice="${event.key}"]`);
    if (button) button.click();
  }

  document.addEventListener("keydown", onKey);
})();
