import assert from "node:assert/strict";
import test from "node:test";
import { filmstrip, heatMap } from "../../web/lib/panel-pictures.mjs";
import { LIGHT } from "../../web/lib/theme.mjs";

const SHAPES = [[36, 24], [24, 36], [30, 30]];

/** What is painted of pictures of a shape: {drawn, filled}: boxes in the order of painting. */
function painted(paint, size, room) {
  const found = { drawn: [], filled: [], taken: [] };
  const ctx = new Proxy({
    drawImage: (_, x, y, w, h, ...box) => { found.taken.push([w, h]); found.drawn.push(box); },
    fillRect: (...box) => found.filled.push(box),
  }, { get: (target, name) => target[name] ?? (() => {}), set: () => true });
  const kinds = ["x", "uncond", "cond", "guided", "difference", "where"];
  const pictures = { kinds, samples: [0, 1], size, steps: [{ i: 0 }, { i: 4 }, { i: 9 }] };
  const boxes = paint(ctx, pictures, () => ({}), { ...room, theme: LIGHT, step: 4, sample: 1, t: (words) => words, font: "sans" });
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

test("a column of the filmstrip is as wide as its pictures", () => {
  for (const size of SHAPES) {
    const { boxes, drawn } = painted(filmstrip, size, { w: 600, h: 400 });
    assert.deepEqual(boxes.map(({ step }) => step), [0, 4, 9]);
    for (const [k, { x, w }] of boxes.entries()) assert.ok(Math.abs(x - drawn[6 * k][0]) < 1e-9 && Math.abs(w - drawn[6 * k][2]) < 1e-9);
  }
});
