import assert from "node:assert/strict";
import test from "node:test";
import { linkFiles, sayOn } from "../../web/lib/node-text.mjs";

class Element {
  constructor(tag) {
    Object.assign(this, { tag, attributes: {}, children: [] });
  }
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  append(...children) {
    this.children.push(...children);
  }
}

test("the name of a file in what a node says fetches that file", () => {
  globalThis.document = { createElement: (tag) => new Element(tag) };
  const file = { filename: "page_00001_.html", subfolder: "a & b", type: "output" };
  const [before, link, after] = linkFiles("page_00001_.html: 9 kB.", [file], (path) => `/api${path}`);
  assert.deepEqual([before, after, link.tag], ["", ": 9 kB.", "a"]);
  assert.equal(link.attributes.href, "/api/view?filename=page_00001_.html&subfolder=a+%26+b&type=output");
  assert.equal(link.attributes.download, file.filename);
  assert.deepEqual(linkFiles("no file", undefined, String), ["no file"]);
  delete globalThis.document;
});

test("a run with nothing to say puts no place for words on a node", () => {
  sayOn({ widgets: [], addDOMWidget: () => assert.fail("a place was made") }, { text: [] });
});
