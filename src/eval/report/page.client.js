/** The script of an evaluation's page: sorts the photos. It is put into the page as it is. */

const place = document.querySelector(".photos");
/** In the random order of the page. @type {HTMLElement[]} */
const cards = [...document.querySelectorAll(".photo")].filter((card) => card instanceof HTMLElement);
const scores = new Map(cards.map((card) => [card, /** @type {number[]} */ (JSON.parse(card.dataset.scores ?? "[]"))]));

function sort() {
  const chosen = document.querySelector('input[name="order"]:checked');
  const metric = document.querySelector('select[name="metric"]');
  if (!(chosen instanceof HTMLInputElement) || !(metric instanceof HTMLSelectElement)) return;
  const column = Number(metric.value);
  /** @param {HTMLElement} card */
  const score = (card) => scores.get(card)?.[column] ?? 0;
  const direction = { 1: -1, 2: 1 }[chosen.value] ?? 0;
  place?.replaceChildren(...[...cards].sort((a, b) => direction * (score(a) - score(b))));
}

for (const input of document.querySelectorAll(".controls input, .controls select")) {
  input.addEventListener("change", sort);
}
/** A choice of metric means nothing in random order. */
document.querySelector('select[name="metric"]')?.addEventListener("change", () => {
  const random = document.querySelector('input[name="order"][value="0"]');
  const best = document.querySelector('input[name="order"][value="1"]');
  if (!(random instanceof HTMLInputElement) || !(best instanceof HTMLInputElement) || !random.checked) return;
  best.checked = true;
  sort();
});
sort(); // a reloaded page keeps what was chosen
