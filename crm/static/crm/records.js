/* <input data-filter-list="id of the list">: shows the entries whose data-filter-text has every word typed. */
(function () {
  "use strict";

  function filter(input) {
    const list = document.getElementById(input.dataset.filterList);
    if (!list) return;
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    list.querySelectorAll("[data-filter-text]").forEach((entry) => {
      entry.hidden = !words.every((word) => entry.dataset.filterText.includes(word));
      if (!entry.hidden) found += 1;
    });
    const none = list.querySelector(".records-none");
    if (none) none.hidden = found > 0;
  }

  document.addEventListener("input", (event) => {
    if ("filterList" in event.target.dataset) filter(event.target);
  });
  // Enter in the filter would send the form around it.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && "filterList" in event.target.dataset) event.preventDefault();
  });
})();
