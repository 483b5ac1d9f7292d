/**
 * The script of the page: shows one head of CLIP's attention, or one layer of GPT-2's, in place of the means. It is put
 * into the page as it is, hence JavaScript with types in comments.
 */

/** @typedef {import("./node-page.js").PageData} PageData */

const dataElement = /** @type {HTMLElement} */ (document.getElementById("data"));
/** @type {PageData} */
const { vision, words, prefixLength } = JSON.parse(dataElement.textContent ?? "");

/** As in parts.ts. @param {number} share */
function percent(share) {
  if (share < 0.001) return share === 0 ? "0 %" : "< 0.1 %";
  return `${share < 0.0995 ? (100 * share).toFixed(1) : Math.round(100 * share)} %`;
}

/** @param {readonly number[]} values */
const total = (values) => values.reduce((a, b) => a + b, 0);

/** @param {readonly (readonly number[])[]} lists of equal lengths */
const meanOf = (lists) => (lists[0] ?? []).map((_, i) => total(lists.map((list) => list[i] ?? 0)) / lists.length);

/** One of the lists, or their mean. @param {readonly (readonly number[])[]} lists @param {string} choice */
const chosen = (lists, choice) => (choice === "mean" ? meanOf(lists) : (lists[Number(choice)] ?? []));

/** @param {string} choice a head, or "mean" */
function showHead(choice) {
  for (const [layer, figure] of document.querySelectorAll(".layer").entries()) {
    const [itself = 0, ...patches] = chosen(vision[layer]?.heads ?? [], choice);
    const most = Math.max(...patches);
    for (const [i, cell] of figure.querySelectorAll("rect").entries()) {
      const share = patches[i] ?? 0;
      cell.setAttribute("fill-opacity", (share / most).toFixed(3));
      cell.firstElementChild?.replaceChildren(percent(share));
    }
    figure.querySelector(".most")?.replaceChildren(percent(most));
    figure.querySelector(".itself")?.replaceChildren(percent(itself));
  }
}

/** @param {string} choice a layer, or "mean" */
function showLayer(choice) {
  for (const row of document.querySelectorAll("tr[data-word]")) {
    if (!(row instanceof HTMLElement)) continue;
    const shares = chosen(words[Number(row.dataset.word)] ?? [], choice);
    for (const [i, cell] of row.querySelectorAll(".cell").entries()) {
      const share = shares[i] ?? 0;
      if (cell instanceof HTMLElement) cell.style.setProperty("--a", share.toFixed(3));
      cell.textContent = share < 0.005 ? "" : String(Math.round(100 * share));
    }
    row.querySelector(".prefix-share")?.replaceChildren(percent(total(shares.slice(0, prefixLength))));
  }
}

for (const [id, show] of Object.entries({ head: showHead, layer: showLayer })) {
  const select = document.getElementById(id);
  if (!(select instanceof HTMLSelectElement)) continue;
  select.addEventListener("change", () => show(select.value));
  show(select.value); // a page that is reloaded keeps its choice
}
