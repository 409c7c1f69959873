import assert from "node:assert/strict";
import test from "node:test";
import { boxOf } from "../../web/lib/commands.mjs";
import { drawView } from "../../web/lib/panel-view.mjs";
import { filmstrip, heatMap } from "../../web/lib/panel-pictures.mjs";
import { speaker } from "../../web/lib/strings.mjs";
import { LIGHT } from "../../web/lib/theme.mjs";
import { fixture } from "./records.mjs";

const SHAPES = [[36, 24], [24, 36], [30, 30]];

/** What is painted of pictures of a shape: {drawn, filled}: boxes in the order of painting. */
function painted(paint, size, room, run = {}) {
  const found = { drawn: [], filled: [], taken: [], said: [] };
  const ctx = new Proxy({
    fillText: (words) => found.said.push(words),
    drawImage: (_, x, y, w, h, ...box) => { found.taken.push([w, h]); found.drawn.push(box); },
    fillRect: (...box) => found.filled.push(box),
  }, { get: (target, name) => target[name] ?? (() => {}), set: () => true });
  const kinds = ["x", "uncond", "cond", "guided", "difference", "where"];
  const pictures = { kinds, samples: [0, 1], size, steps: [{ i: 0 }, { i: 4 }, { i: 9 }] };
  const boxes = paint(ctx, pictures, () => ({}), { ...room, theme: LIGHT, step: 4, sample: 1, t: (words) => words, font: "sans", run });
  return { ...found, boxes };
}

for (const [name, paint, count] of [["filmstrip", filmstrip, 18], ["heat map", heatMap, 5]]) {
  test(`the ${name} keeps the proportions of pictures, and paints nothing beside them`, () => {
    for (const size of SHAPES) for (const room of [{ w: 600, h: 400 }, { w: 260, h: 500 }]) {
      const { drawn, filled, taken } = painted(paint, size, room);
      assert.equal(drawn.length, count);
      for (const [x, y, w, h] of drawn) {
        assert.ok(Math.abs(w / h - size[0] / size[1]) < 1e-9, `${size}: ${w} x ${h}`);
        assert.ok(x >= 0 && y >= 0 && x + w <= room.w && y + h <= room.h, `${size} leaves the sheet`);
      }
      assert.deepEqual(new Set(taken.map(String)), new Set([String(size)]));
      for (const box of filled) assert.ok(drawn.some((one) => one.every((value, k) => Math.abs(value - box[k]) < 1e-9)), `bars beside ${size}`);
    }
  });
}

test("where a run has no pictures, the view says why in their place", () => {
  const note = "A latent of shape (1, 8, 32) is not a picture. Pictures need [B, C, H, W].";
  const ctx = new Proxy({}, { get: () => () => ({ width: 1 }), set: () => true });
  const canvas = { width: 0, height: 0, getContext: () => ctx };
  const t = speaker("en");
  for (const [run, wanted] of [[{ ...fixture("audio"), pictures: { note } }, note], [{ ...fixture("audio"), live: true }, t("loading")]]) {
    for (const view of ["pictures", "heat"]) {
      const marks = drawView(canvas, view, { run, step: 0, sample: 0, w: 240, h: 300, theme: LIGHT, t, image: () => null }, 1);
      const texts = marks.filter(({ op }) => op === "text");
      assert.ok(texts.map(({ runs }) => runs[0].t).join(" ").includes(wanted), view);
      for (const box of texts.map(boxOf)) assert.ok(box.x >= 0 && box.x + box.w <= 240);
    }
  }
});
