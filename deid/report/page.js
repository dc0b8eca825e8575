"use strict";
// The address names the order (#sort=risk, #sort=-risk), so a link or a reload keeps it. No two tables
// of a page have a column of one name.
(function () {
  const heads = Array.from(document.querySelectorAll("th[data-column]"));
  const collator = new Intl.Collator("en", { numeric: true });

  function key(row, index, numeric) {
    const cell = row.cells[index];
    const text = cell.dataset.key === undefined ? cell.firstChild && cell.firstChild.data : cell.dataset.key;
    if (!text) return null;
    return numeric ? Number(text) : text;
  }

  function sort(name, down) {
    const head = heads.find((one) => one.dataset.column === name);
    if (!head) return;
    const table = head.closest("table");
    const body = table.tBodies[0];
    const numeric = head.dataset.numeric !== undefined;
    const pairs = Array.from(body.rows, (row) => [key(row, head.cellIndex, numeric), row]);
    pairs.sort(function (a, b) {
      if (a[0] === null || b[0] === null) return (a[0] === null) - (b[0] === null);
      const order = numeric ? a[0] - b[0] : collator.compare(a[0], b[0]);
      return down ? -order : order;
    });
    const sorted = document.createDocumentFragment();
    for (const pair of pairs) sorted.append(pair[1]);
    body.append(sorted);
    for (const other of heads) {
      if (other.closest("table") !== table) continue;
      const column = other.dataset.column;
      other.removeAttribute("aria-sort");
      other.firstElementChild.href = "#sort=" + column;
      if (other !== head) continue;
      other.setAttribute("aria-sort", down ? "descending" : "ascending");
      other.firstElementChild.href = "#sort=" + (down ? "" : "-") + column;
    }
  }

  function follow() {
    const asked = /^#sort=(-?)(\w+)$/.exec(location.hash);
    if (asked) sort(asked[2], asked[1] === "-");
  }
  addEventListener("hashchange", follow);
  follow();
})();
