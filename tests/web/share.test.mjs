/** The picture for others: where its words and pictures stand. */
import assert from "node:assert/strict";
import test from "node:test";
import { boxOf } from "../../web/lib/commands.mjs";
import { layoutOf } from "../../web/lib/sharing.mjs";

const VALUES = [1, 1.5, 2.5, 4, 6, 9, 14];
const square = (count, side = 512) => Array.from({ length: count }, () => [side, side]);
const values = (count, shots, size = [512, 512]) => Array.from({ length: count }, (_, k) => ({ name: `cfg ${VALUES[k]}`, sizes: Array(shots).fill(size) }));
const about = (more) => layoutOf({ headline: "From about 8 on, this model's pictures change in a way that can be seen.", lines: ["A line. ".repeat(30)], tone: "#000000", facts: "model ".repeat(60), hint: "Drop this file on ComfyUI: it opens the workflow.", values: [], curve: null, ...more });
const overlap = (one, other) => one.x < other.x + other.w - 0.01 && other.x < one.x + one.w - 0.01 && one.y < other.y + other.h - 0.01 && other.y < one.y + one.h - 0.01;

test("words and pictures lie on the sheet and never on one another, whatever is shared", () => {
  const curve = { left: 66, right: 10, high: 131 };
  const cases = [{ values: values(2, 4) }, { values: values(2, 4, [832, 1216]) }, { values: values(5, 1, [1344, 768]) }, { values: values(1, 1) }, { values: values(1, 4) },
    { values: [{ name: "", sizes: [] }] }, { values: values(7, 4), curve }, { values: values(7, 2, [768, 1344]), curve }, { values: [], curve }];
  for (const one of cases) {
    const { commands: [{ w, h }, ...marks], places, curve: at } = about(one);
    const boxes = [...marks.filter(({ op }) => op === "text").map(boxOf), ...places.flat(), ...(one.curve ? [{ ...at, w: w - 48, h: 131 }] : [])];
    for (const [i, box] of boxes.entries()) {
      assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.w <= w && box.y + box.h <= h, JSON.stringify([one, box, w, h]));
      for (const other of boxes.slice(i + 1)) assert.ok(!overlap(box, other), JSON.stringify([one, box, other]));
    }
  }
});

test("below a curve each value's pictures stand in its column; of two values every seed stands below the same of the other", () => {
  const { places } = about({ values: values(7, 3), curve: { left: 66, right: 10, high: 131 } });
  const each = (760 - 48 - 76) / 7;
  places.forEach((column, k) => column.forEach(({ x, w }) => assert.ok(Math.abs(x + w / 2 - 24 - 66 - each * (k + 0.5)) < 1)));
  const [above, below] = about({ values: values(2, 4) }).places;
  above.forEach(({ x, y }, i) => assert.ok(below[i].x === x && below[i].y > y));
  assert.deepEqual(about({ values: [{ name: "a", sizes: square(1) }, { name: "b", sizes: square(1) }] }).places.map(([{ y }]) => y).length, 2);
});
