/** What patterns apply to: no shorter word ("odour") and no compound with a hyphen. */
const PLAIN = /^\p{L}{6,}$/u;

/** Words that change one by one, by what happens in them. */
const LISTED: readonly (readonly [words: string, from: RegExp, to: string])[] = [
  [
    "armoured coloured colouring colourful discoloured discolouring endeavoured endeavouring favoured favouring favourite " +
      "favourites flavoured flavouring honoured honouring honourable humoured humouring Labour laboured labouring " +
      "neighbourhood neighbourhoods rumoured rumouring savoured savouring",
    /our/,
    "or",
  ],
  [
    "analyse analysed analysing capitalise capitalised capitalisation finalise finalised finalising localise localised " +
      "maximise maximised maximising minimise minimised minimising modernise modernised modernising organisation " +
      "organisations penalise penalised popularise popularised popularises popularising pressurise pressurised " +
      "pressurises pressurising realise realised realises realising recognise recognised recognises recognising",
    /s(?=[eia][^s]*s?$)/,
    "z",
  ],
  ["cancelled cancelling labelled labelling travelled travelling", /ll/, "l"],
  ["centre fibre fibres meagre theatre theatres titre titres", /re(?=s?$)/, "er"],
  ["analogue analogues homologue homologues", /ue/, ""],
  ["anaesthetic chimaeric encyclopaedia", /ae/, "e"],
  ["oestrogen oestrogens", /oe/, "e"],
  ["manoeuvre manoeuvres", /oeuvre/, "euver"],
  ["defence Defence", /c/, "s"],
  ["practise practised", /s/, "c"],
  ["learnt leant", /t/, "ed"],
  ["grey", /e/, "a"],
  ["kerb", /kerb/, "curb"],
];

/** Other words: of a word that fits several, the first alone is applied. */
const PATTERNS: readonly (readonly [from: RegExp, to: string])[] = [
  [/haemato/g, "hemato"],
  [/aemia$/, "emia"],
  [/([lL])eukaem/g, "$1eukem"],
  [/programme(s?)$/, "program$1"],
  [/^([a-z]{3,})our(s?)$/, "$1or$2"],
];

/** Wherever one of these stands in a word, its "our" stays: contours, glamour. */
const OUR_STAYS =
  /abatjour|beflour|bonjour|calambour|carrefour|contour|cornflour|detour|devour|dortour|downpour|dyvour|giaour|glamour|holour|inpour|outpour|pandour|paramour|pompadour|recontour|repour|ryeflour|sompnour|tambour|tregetour|troubadour|velour/;

const WORDS: ReadonlyMap<string, string> = new Map(
  LISTED.flatMap(([words, from, to]) => words.split(" ").map((word) => [word, word.replace(from, to)])),
);

/**
 * A word in American spelling where the tokeniser of Stanford CoreNLP rewrites it, by the word list and the patterns that its
 * source of 2014 has: colour, grey, theatre, travelled, programme, learnt. Others stay ("greys", "metre", "traveller", "tyre"),
 * and so do words with capitals ("Grey") except Labour and Defence. Whatever ends in -our of six letters counts: "parkour" too
 * becomes "parkor".
 */
export function americanize(word: string): string {
  const listed = WORDS.get(word);
  if (listed !== undefined) return listed;
  if (!PLAIN.test(word) || OUR_STAYS.test(word)) return word;
  const pattern = PATTERNS.find(([from]) => word.search(from) >= 0);
  return pattern === undefined ? word : word.replace(...pattern);
}
