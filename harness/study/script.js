"use strict";
// A quantity lights up everywhere: by its button, or by a click on one of its places; again, or Escape, puts it out.

const buttons = [...document.querySelectorAll("button[data-q]")];

function light(quantity) {
  for (const button of buttons) {
    const lit = button.dataset.q === quantity && button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(lit));
    for (const place of document.querySelectorAll(`b.${button.dataset.q}`)) place.classList.toggle("lit-up", lit);
  }
}

for (const button of buttons) button.addEventListener("click", () => light(button.dataset.q));
document.addEventListener("click", (event) => {
  if (event.target.matches(".code b")) light(event.target.className.split(" ")[0]);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") light("");
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, textarea")) return;
  const way = { "[": "prev", "]": "next" }[event.key];
  if (way) document.querySelector(`a[rel="${way}"]`)?.click();
});
