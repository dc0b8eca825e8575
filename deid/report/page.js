"use strict";
// The address names the order (#sort=risk, #sort=-risk), so a link or a reload keeps it.
(function () {
  const table = document.getElementById("table");
  const heads = Array.from(table.tHead.rows[0].cells);
  const body = table.tBodies[0];
  const collator = new Intl.Collator("en", { numeric: true });

  function key(row, index, numeric) {
    const cell = row.cells[index];
    const text = cell.dataset.key === undefined ? cell.firstChild && cell.firstChild.data : cell.dataset.key;
    if (!text) return null;
    return numeric ? Number(text) : text;
  }

  function sort(name, down) {
    const index = heads.findIndex((head) => head.dataset.column === name);
    if (index < 0) return;
    const numeric = heads[index].dataset.numeric !== undefined;
    const pairs = Array.from(body.rows, (row) => [key(row, index, numeric), row]);
    pairs.sort(function (a, b) {
      if (a[0] === null || b[0] === null) return (a[0] === null) - (b[0] === null);
      const order = numeric ? a[0] - b[0] : collator.compare(a[0], b[0]);
      return down ? -order : order;
    });
    const sorted = document.createDocumentFragment();
    for (const pair of pairs) sorted.append(pair[1]);
    body.append(sorted);
    for (const head of heads) {
      const column = head.dataset.column;
      if (!column) continue;
      head.removeAttribute("aria-sort");
      head.firstElementChild.href = "#sort=" + column;
      if (column !== name) continue;
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      head.firstElementChild.href = "#sort=" + (down ? "" : "-") + column;
    }
  }

  function follow() {
    const asked = /^#sort=(-?)(\w+)$/.exec(location.hash);
    if (asked) sort(asked[2], asked[1] === "-");
  }
  addEventListener("hashchange", follow);
  follow();
})();
