"use strict";
// Sorting by a column, and filtering the table of all tensors. Notes stay with the row above them.

function valueOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  const number = text === "inf" ? Infinity : Number(text.replace(/[, %]/g, ""));
  return text !== "" && !Number.isNaN(number) ? number : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function withNotes(body) {
  const groups = [];
  for (const row of body.rows) {
    if (row.classList.contains("note")) groups[groups.length - 1].push(row);
    else groups.push([row]);
  }
  return groups;
}

// A span, since browsers leave buttons out of the headers that they repeat on paper.
function buttonIn(head) {
  const button = document.createElement("span");
  button.setAttribute("role", "button");
  button.tabIndex = 0;
  button.append(...head.childNodes);
  if (!button.textContent.trim()) button.setAttribute("aria-label", "mark");
  head.append(button);
  button.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    button.click();
  });
  return button;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => buttonIn(head).addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const groups = withNotes(table.tBodies[0]);
    groups.sort((a, b) => (descending ? -1 : 1) * compare(valueOf(a[0], column), valueOf(b[0], column)));
    table.tBodies[0].append(...groups.flat());
  }));
}

const filter = document.getElementById("filter");
const groups = withNotes(document.querySelector("table.filtered").tBodies[0]);

function applyFilter() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const group of groups) {
    const text = group.map((row) => row.textContent).join(" ").toLowerCase();
    const visible = words.every((word) => text.includes(word));
    group.forEach((row) => { row.hidden = !visible; });
    shown += visible;
  }
  document.getElementById("shown").textContent = `${shown} of ${groups.length}`;
}

filter.addEventListener("input", applyFilter);
applyFilter();
