import { describe, expect, it } from "vitest";
import { type CaptionOptions, generatorShape, type OptionContext, usualStops } from "../../src/models/options.js";

/** Each letter is a token; positions for 10 prefix vectors and 20 tokens. */
const context: OptionContext = {
  prefixLength: 10,
  positions: 30,
  vocab: 128,
  stopTokens: [1],
  encode: (text) => [...text].map((letter) => letter.codePointAt(0)!),
};
const shape = (options: unknown) => generatorShape(options as CaptionOptions, context);

describe("options become a shape", () => {
  it.each([
    [{}, { width: 1, maxTokens: 20, stop: [1], strategy: { type: "greedy" } }],
    [
      { beam: 5, num: 2 },
      { width: 5, strategy: { type: "beam", rule: "mean", alpha: 1, temperature: 1 } },
    ],
    [{ num: 3 }, { width: 3, strategy: { type: "sample", temperature: 1, topK: 0, topP: 1 } }],
    [{ temperature: 0.5 }, { width: 1, strategy: { type: "sample", temperature: 0.5 } }],
    [{ topP: undefined, beam: undefined }, { strategy: { type: "greedy" } }],
    [{ prompt: "abc" }, { prompt: [97, 98, 99], maxTokens: 17 }],
    [{ stop: ["z", 5, 5] }, { stop: [122, 5] }],
  ])("%j", (options, expected) => expect(shape(options)).toMatchObject(expected));
});

it.each([
  ["the point alone and after a space, and the end of text", { ".": [13], " .": [764] }, [13, 764, 50256]],
  ["a point that is the same after a space counts once", { ".": [5], " .": [5] }, [5, 50256]],
  ["a point of several tokens ends nothing", { ".": [13], " .": [1, 13] }, [13, 50256]],
  ["a token that the model does not have is none", { ".": [13], " .": [60000] }, [13, 50256]],
])("what usually ends a caption: %s", (_name, ids: Record<string, number[]>, stops) => {
  expect(usualStops({ encode: (text) => ids[text]! }, { eosId: 50256, vocab: 50257 })).toEqual(stops);
});

describe("a wrong value is refused and named", () => {
  it.each([
    [{ beam: 0 }, "beam is 0; it must be a whole number from 1 to 16"],
    [{ beam: 17 }, "beam is 17; it must be a whole number from 1 to 16"],
    [{ beam: 2, num: 3 }, "num is 3; it must be at most the 2 beams"],
    [{ beam: 2, topP: 0.9 }, "beam is 2; it must be without topK and topP"],
    [{ beam: 2, beamRule: "best" }, "beamRule is best; it must be one of mean, length-normalised"],
    [{ lengthPenalty: 2 }, "lengthPenalty is given; it must be together with beam"],
    [{ num: "3" }, "num is 3; it must be a whole number"],
    [{ temperature: "0.7" }, "temperature is 0.7; it must be a number from 0.01"],
    [{ topP: 0 }, "topP is 0; it must be a number"],
    [{ repetitionPenalty: Number.NaN }, "repetitionPenalty is NaN"],
    [{ maxTokens: 21 }, "maxTokens is 21; it must be a whole number from 1 to 20"],
    [{ stop: "." }, 'stop is "."; it must be a list'],
    [{ stop: [""] }, 'stop is ""; it must be a text that is one token'],
    [{ stop: [128] }, "stop is 128; it must be a whole number from 0 to 127"],
    [{ prompt: 5 }, "prompt is 5; it must be a text"],
    [{ prompt: "a".repeat(20) }, "prompt is 20 tokens long; it must be at most 19"],
    [{ beams: 3 }, "there is no option beams; there are beam, beamRule"],
    [{ crop: "middle" }, "crop is middle; it must be one of torchvision, hf"],
    [{ beam: 2, temperature: 1e-40 }, "temperature is 1e-40; it must be a number from 0.01 to 100"],
    [{ batch: Number.NaN }, "batch is NaN; it must be a whole number from 1 to 256"],
    [{ seed: -1 }, "seed is -1; it must be a whole number"],
    [{ signal: "x" }, "signal is x; it must be an AbortSignal"],
    [{ beam: Symbol("many") }, "beam is Symbol(many); it must be a whole number"],
    [{ beam: Object.create(null) }, "beam is an object; it must be a whole number"],
    [null, "options is null; it must be an object"],
    [5, "options is 5; it must be an object"],
  ])("%j", (options, message) => expect(() => shape(options)).toThrow(message));

  it("but null is an option that is left out", () => {
    const names = ["beam", "beamRule", "lengthPenalty", "temperature", "topK", "topP", "num", "stop", "crop", "batch"];
    expect(shape(Object.fromEntries(names.map((name) => [name, null])))).toEqual(shape({}));
  });

  it("a prompt whose tokens the model does not have", () => {
    expect(() => shape({ prompt: "é" })).toThrow("the prompt has token 233, but the model knows only 128");
  });
});
