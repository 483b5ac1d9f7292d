/**
 * British to American spelling as the Penn Treebank tokeniser of CoreNLP 3.4 does it: general endings, and a fixed list
 * of words. What the list lacks stays British ("favourable", "travellers"), and so does every capitalised word but two.
 */

/** Words of the list by the change that they undergo at the first place where it applies. */
const LISTED: readonly (readonly [from: RegExp, to: string, words: string])[] = [
  [
    /our/,
    "or",
    "armoured coloured colourful colouring discoloured discolouring endeavoured endeavouring favoured favouring " +
      "favourite favourites flavoured flavouring honourable honoured honouring humoured humouring laboured labouring " +
      "neighbourhood neighbourhoods rumoured rumouring savoured savouring Labour",
  ],
  [
    /is/,
    "iz",
    "capitalisation capitalise capitalised finalise finalised finalising localise localised maximise maximised " +
      "maximising minimise minimised minimising modernise modernised modernising organisation organisations penalise " +
      "penalised popularise popularised popularises popularising pressurise pressurised pressurises pressurising " +
      "realise realised realises realising recognise recognised recognises recognising",
  ],
  [/is/, "ic", "practise practised"],
  [/ys/, "yz", "analyse analysed analysing"],
  [/ll/, "l", "cancelled cancelling labelled labelling travelled travelling"],
  [/re/, "er", "centre fibre fibres meagre theatre theatres titre titres"],
  [/ogue/, "og", "analogue analogues homologue homologues"],
  [/oeuvre/, "euver", "manoeuvre manoeuvres"],
  [/ae/, "e", "anaesthetic chimaeric encyclopaedia"],
  [/oe/, "e", "oestrogen oestrogens"],
  [/nc/, "ns", "defence Defence"],
  [/nt/, "ned", "leant learnt"],
  [/grey/, "gray", "grey"],
  [/kerb/, "curb", "kerb"],
];

const WORDS: ReadonlyMap<string, string> = new Map(
  LISTED.flatMap(([from, to, words]) => words.split(" ").map((word) => [word, word.replace(from, to)])),
);

/** Endings of words of six letters and more; the first that fits is taken. */
const ENDINGS: readonly (readonly [from: RegExp, to: string])[] = [
  [/haem(at)?o/g, "hem$1o"],
  [/aemia$/, "emia"],
  [/([lL])eukaem/g, "$1eukem"],
  [/programme(s?)$/, "program$1"],
  [/^([a-z]{3,})our(s?)$/, "$1or$2"],
];
const ANY_ENDING = /haem|aemia$|eukaem|programmes?$|ours?$/;
const SHORTEST_ENDING = 6;

/** Words with these inside end in "our" in America, too. */
const STAY_OUR = new RegExp(
  "abatjour|beflour|bonjour|calambour|carrefour|cornflour|contour|de[tv]our|dortour|dyvour|downpour|giaour|glamour|" +
    "holour|inpour|outpour|pandour|paramour|pompadour|recontour|repour|ryeflour|sompnour|tambour|troubadour|" +
    "tregetour|velour",
);

/** The American spelling of a word, case kept; a word that is neither listed nor has such an ending as it is. */
export function americanize(word: string): string {
  const listed = WORDS.get(word);
  if (listed !== undefined) return listed;
  if (word.length < SHORTEST_ENDING || !ANY_ENDING.test(word)) return word;
  for (const [from, to] of ENDINGS) {
    if (word.search(from) >= 0 && !(to === "$1or$2" && STAY_OUR.test(word))) return word.replace(from, to);
  }
  return word;
}
