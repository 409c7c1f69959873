/** Faults in the JavaScript of the panel that its types do not show. No package is imported: it runs wherever eslint lies. */
const HERE = ["console", "structuredClone", "URL", "URLSearchParams", "Blob", "setTimeout", "clearTimeout", "setInterval", "clearInterval"];
const BROWSER = ["document", "localStorage", "matchMedia", "fetch", "navigator", "crypto", "getComputedStyle", "requestAnimationFrame",
  "cancelAnimationFrame", "addEventListener", "Image", "FileReader", "ImageData", "OffscreenCanvas", "ResizeObserver", "MutationObserver",
  "XMLHttpRequest",
  "Worker", "MessageChannel", "TextDecoder", "devicePixelRatio", "location", "history", "scrollTo", "removeEventListener", "atob",
  "FormData", "Event", "LiteGraph"];
const NODE = ["process", "Buffer"];

const readable = (names) => Object.fromEntries(names.map((name) => [name, "readonly"]));

export default [
  {
    files: ["web/**/*.js", "web/**/*.mjs", "tests/web/*.mjs", "dev/**/*.mjs"],
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: readable([...HERE, ...BROWSER]) },
    rules: {
      "array-callback-return": "error",
      "consistent-return": "off",
      "constructor-super": "error",
      "eqeqeq": ["error", "always", { null: "ignore" }],
      "no-cond-assign": "error",
      "no-const-assign": "error",
      "no-constant-binary-expression": "error",
      "no-dupe-args": "error",
      "no-dupe-class-members": "error",
      "no-dupe-else-if": "error",
      "no-dupe-keys": "error",
      "no-duplicate-imports": "error",
      "no-eval": "error",
      "no-fallthrough": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-self-assign": "error",
      "no-self-compare": "error",
      "no-sparse-arrays": "error",
      "no-this-before-super": "error",
      "no-undef": "error",
      "no-unreachable": "error",
      "no-unused-expressions": ["error", { allowTernary: true, allowShortCircuit: true }],
      "no-unused-vars": ["error", { ignoreRestSiblings: true, argsIgnorePattern: "^_", varsIgnorePattern: "^_", destructuredArrayIgnorePattern: "^_" }],
      "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
      "no-useless-catch": "error",
      "no-var": "error",
      "prefer-const": "error",
      "use-isnan": "error",
      "valid-typeof": "error",
    },
  },
  { ignores: [".*/**", "output/**"] },
  { files: ["tests/web/*.mjs"], languageOptions: { globals: readable(NODE) } },
  { files: ["dev/**/*.mjs"], languageOptions: { globals: readable(["app"]) } },
];
