// The kernels in WebAssembly against the composed operations: VENULE_KERNELS=…/library.js node --test test/
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { test } from "node:test";

const { check, checks } = createRequire(import.meta.url)(resolve(process.env.VENULE_KERNELS ?? "library.js"));

test("there are checks", () => assert.ok(checks().length > 50));
checks().forEach((name, number) => test(name, () => check(number)));
