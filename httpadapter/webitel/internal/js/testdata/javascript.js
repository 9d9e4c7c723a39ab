// Writes what JavaScript makes of values and patterns, for the tests of the
// package: node javascript.js > javascript.json
'use strict';

// The JSON of values, the first of which is left out: undefined.
const values = [
  '', 'null', 'true', 'false', '0', '-0', '0.0', '1', '-1', '1.0', '1.50', '10', '9', '1e3', '1e21', '123e-20', '1e-7', '0.000001', '1e400', '-1e400',
  '9007199254740993', '""', '" "', '"0"', '"1"', '"01"', '"1.0"', '"10"', '"9"', '" 1\\n"', '"\\ufeff1\\u00a0"', '"+1"', '"-1"', '"--1"', '"1e3"', '".5"', '"5."', '"."', '"0x10"', '"0X1f"',
  '"0b11"', '"0o17"', '"-0x10"', '"0x"', '"0xg"', '"0x_1"', '"1_000"', '"Infinity"', '"-Infinity"', '"+-Infinity"', '"inf"', '"nan"', '"NaN"', '"0x1p3"', '"1e400"', '"1e"', '"null"', '"true"', '"a"', '"B"', '"b"', '"é"', '"\\uffff"', '"\\ud83d\\ude00"',
  '"[object Object]"', '"1,2"', '[]', '[1]', '["1"]', '[1,2]', '[null]', '[[1,[true,null]],{"a":1},""]', '{}', '{"a":1}',
];

// Patterns, as the value of a filter, and texts.
const patterns = [
  'b', '^b$', '/B/i', '/B/', '/^b$/m', '/b/y', '/a/y', '/a/gimy', '/a/gg', '/a/s', '/x/s', '//', '/', '', '/a/b/i', '/a/g/i', 'a|b', '(a)\\1', '(?:a)(?=b)', '(?!a)b', '(?<=a)b', '(?<x>a)\\k<x>',
  '[^]', '[]', '^.$', '\\d+', '^\\w+$', '\\s', '[\\d-x]', '\\u0061', '\\x61', '\\cJ', '\\0', '\\/', 'a{2}', 'a{2,1}', 'a{,2}', '{', 'a{', '}', ']', '(', ')', '[', '*', 'a**', 'a*?', '\\', '[b-a]', '^38', '/^38/i',
  '(?:', '(?', '$', '^', '\\b', 'a\\b', '\\Bb', '[\\b]', '/É/i', '/ſ/i', '\\p{L}', '/\nb/', '/a\nb/i', 'e$', '\\A', '\\Z', '\\Qa\\E', '(a)?b\\1', '(z)((a+)?(b+)?(c))*',
  '/^[\\d-A-Z]$/i', '/^[^\\d-A-Z]$/i', '/^[a-\\S-z]$/i', '/^[\\w-\\d-~]$/i', '/^[\\0-\\cA]$/i', '/^[^\\0-\\cZ]$/i', '/^[\\0-\\377]$/i', '/^[!-\\177]$/i',
];
const texts = ['', 'a', 'b', 'B', 'ab', 'aa', 'aab', 'a\nb', 'b\n', 'é', 'É', 's', 'S', '38044', '1-x', 'x y', '/x/s', '/', 'a/b', '{', 'a{,2}', '\\', '\n', '\0', 'p{L}', 'A', 'Z', 'Qa', 'undefined', 'zaacbbbcac', '\u00a0', '\u212a'];

const all = values.map(value => value === '' ? undefined : JSON.parse(value));
const primitives = all.filter(value => value === null || typeof value !== 'object');
const bits = (list, test) => list.map(element => test(element) ? '1' : '0').join('');
const rows = test => all.map(a => bits(primitives, b => test(a, b)));

function found(pattern) {
  const parts = pattern.match(/^\/(.*?)\/([gimy]*)$/);
  const [source, flags] = parts ? parts.slice(1) : [pattern, ''];
  try {
    new RegExp(source, flags);
  } catch {
    return 'invalid';
  }
  return bits(texts, text => new RegExp(source, flags).test(text));
}

console.log(JSON.stringify({
  values,
  truthy: bits(all, value => value),
  text: all.map(String),
  equal: rows((a, b) => a == b),
  less: rows((a, b) => a < b),
  greater: rows((a, b) => a > b),
  lessOrEqual: rows((a, b) => a <= b),
  greaterOrEqual: rows((a, b) => a >= b),
  patterns, texts,
  found: patterns.map(found),
}, null, 1));
