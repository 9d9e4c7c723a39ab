// Makes JSON that JavaScript, Go and people write differently. As a program, it prints
// what JavaScript makes of some of it, for the tests of package logto:
//
//	node javascript.js >../logto/testdata/stringify.json

import { pathToFileURL } from 'node:url';

// numbers are forms of numbers that JavaScript does not change the value of.
export const numbers = [
  '0', '-0', '0.0', '-0.0', '0e0', '-0E+5', '0e999999', '1', '-1', '1.0', '-1.50', '1e2', '1E+2', '100e-2', '10', '1e1', '120e-1', '1e20', '1e21', '1e22',
  '1E23', '123e18', '123e19', '100000000000000000000', '1000000000000000000000', '1000000000000000000000000', '0.1', '0.10', '1e-1', '0.000001', '1e-6',
  '0.0000001', '1e-7', '1.5e-7', '0.00000012', '12e-8', '0.000012', '1e-10', '5e-324', '2.2250738585072014e-308', '1.7976931348623157e308',
  '9007199254740991', '9007199254740992', '-9007199254740994', '9007199254740992.0', '123456789.123', '1.7976931348623157E+308', '4.35', '0.3', '1e300',
  '999999999999999', '1234567890123456', '123456789012345680000', '0.1e1', '0.5e-6', '1000000e-6', '1700000000000', '1e+0', '1e-0',
];

// strings are strings of JSON, with their quotes.
export const strings = [
  '""', '"a"', '"\\u0061"', '"\\/"', '"</script>"', '"\\u003c\\u003E&\\u0026"', '"\\u00e9é\\u00E9"', '"\\ud83d\\ude00😀"', '"\\uD83D"', '"\\ude00"', '"\\ud83d\\ud83d\\ude00"',
  '"\\ude00\\ud83d"', '"\\ud83dx"', '"\\ud83d\\n"', '"\\uDBFF\\uDFFF"', '"\\u2028\\u2029\u2028\u2029"', '"\\u0000\\u0001\\u001f\\u001F"', '"\\b\\f\\n\\r\\t\\"\\\\"',
  '"\\u0008\\u000c\\u000A\\u000d\\u0009\\u0022\\u005c"', '"\\u007f\u007f\\u0080"', '"\\ufeff\\ufffe\\uffff\\ufffd\ufffd"', '"日本語"', '"a\\u0062c\\"d\\/"', '"\\\\u0061"', '"\\\\\\u0061"',
];

// names are those of members, of which some are array indices.
export const names = [
  '"a"', '"b"', '"\\u0061"', '"0"', '"1"', '"2"', '"10"', '"9"', '"01"', '"-1"', '"1.0"', '"\\u0031"', '""', '"4294967294"', '"4294967295"', '"4294967296"',
  '"9007199254740991"', '"__proto__"', '"constructor"', '"toJSON"', '"length"', '"é"', '"\\u00e9"', '" 1"', '"1e1"', '"99999999999"', '"\\ud800"', '"<"',
];

// random returns a source of numbers below n, the same for the same seed.
function random(seed) {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

// texts returns so many texts of JSON.
export function* texts(count, seed = 1) {
  const next = random(seed);
  const space = () => ['', '', '', ' ', '\n\t', ' \r\n '][next(6)];
  const list = (open, close, n, element) =>
    open + space() + Array.from({ length: n }, element).join(space() + ',' + space()) + space() + close;
  const number = () => {
    for (;;) {
      const digits = String(next(1e9)) + (next(2) ? '.' + String(next(1e6)).padEnd(next(8), '0') : '');
      const text = (next(2) ? '-' : '') + digits + (next(2) ? ['e', 'E', 'e+', 'e-', 'E-'][next(5)] + next(40) : '');
      if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
        return text;
      }
    }
  };
  const value = (depth) => {
    switch (next(depth > 4 ? 5 : 8)) {
      case 0:
        return numbers[next(numbers.length)];
      case 1:
        return number();
      case 2:
      case 3:
        return strings[next(strings.length)];
      case 4:
        return ['true', 'false', 'null'][next(3)];
      case 5:
        return list('[', ']', next(5), () => value(depth + 1));
      default:
        return list('{', '}', next(8), () => names[next(names.length)] + space() + ':' + space() + value(depth + 1));
    }
  };
  for (let i = 0; i < count; i++) {
    yield value(0);
  }
}

// objects show the order of members.
export const objects = [
  ...names.map((name) => `{"z":0,${name}:1,"a":2}`),
  '{"2":1,"1":2,"b":3,"0":4,"a":5,"b":6}', '{"a":{"b":1,"1":[{"2":0,"1":0},{"x":1,"x":{"3":0,"2":0}}]},"0":{"0":0}}',
  '{"4294967295":1,"4294967294":2,"x":3}', '{"a":1,"\\u0061":2}', '{"__proto__":1,"1":2,"__proto__":3}', ' [ { } , [ ] ] ',
];

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const inputs = [...numbers, ...strings, ...objects, ...texts(150)];
  console.log(`[\n${inputs.map((text) => '  ' + JSON.stringify([text, JSON.stringify(JSON.parse(text))])).join(',\n')}\n]`);
}
