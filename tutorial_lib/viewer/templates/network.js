'use strict';
// The network of a file as a fragment shader. Every layer is a loop whose bounds are the file's own shapes; the weights come from
// a texture, in blocks of 4×4, so that a step of the inner loop is a matrix times a vector.

const quads = (count) => Math.ceil(count / 4);

// One layer: from the activations `from` to `to`, from texel `start` on. `sine` is what ends it, or nothing.
function layerSource(inputs, outputs, start, from, to, frequency) {
  const stride = 4 * inputs + 1;
  return `
  for (int o = zero; o < ${outputs}; o++) {
    int at = ${start} + ${stride} * o;
    vec4 sum = weight(at + ${4 * inputs});
    for (int i = zero; i < ${inputs}; i++, at += 4)
      sum += mat4(weight(at), weight(at + 1), weight(at + 2), weight(at + 3)) * ${from}[i];
    ${to}[o] = ${frequency ? `sine(${frequency} * sum)` : 'sum'};
  }`;
}

// A network: the encoding into `a`, then layer after layer, to and fro between `a` and `b`. Returns code and where the result is.
function networkSource(network, phases, frequency) {
  const count = network.periods.length, sizes = network.sizes.map(quads);
  let code = `
  a[0] = vec4(place + offset, 0.0, 0.0);`;
  if (count) code += `
  for (int i = zero; i < ${count}; i++) {
    vec2 angle = ${phases}[i].xy + ${phases}[i].z * offset;
    a[i + 1] = sine(vec4(angle, angle + HALF_PI));
  }`;
  sizes[0] = 1 + count;
  let start = network.start, from = 'a', to = 'b';
  for (let layer = 1; layer < sizes.length; layer++) {
    const last = layer === sizes.length - 1;
    code += layerSource(sizes[layer - 1], sizes[layer], start, from, to, last ? '' : frequency);
    start += (4 * sizes[layer - 1] + 1) * sizes[layer];
    [from, to] = [to, from];
  }
  return { code, result: `${from}[0]`, widest: Math.max(...sizes) };
}

function shaderOfNetwork(facts) {
  const genesis = networkSource(facts.genesis, 'phases', 'frequency');
  const modulation = facts.modulation && networkSource(facts.modulation, 'slow', `${facts.omega.toFixed(8)}`);
  const widest = Math.max(genesis.widest, modulation ? modulation.widest : 0);
  const [low, high] = facts.modulation ? facts.modulation.range : [0, 1];
  return `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
const float HALF_PI = 1.5707963267948966;
uniform sampler2D weights;
uniform int zero;  // 0, which the compiler doesn't know: it would unroll every loop, for minutes
uniform vec2 place;  // the middle of the view, as the network counts
uniform vec3 phases[${Math.max(facts.genesis.periods.length, 1)}];  // of the encoding at that place, and its frequencies
uniform vec3 slow[${facts.modulation ? Math.max(facts.modulation.periods.length, 1) : 1}];  // the modulation's
uniform vec2 step_;  // from one pixel of the screen to the next
uniform vec2 middle;  // of the view, in pixels of the screen
uniform vec4 edges;  // left, top, right, bottom of the picture, as offsets from the place
uniform bool map;
out vec4 colour;

vec4 weight(int index) { return texelFetch(weights, ivec2(index & ${facts.texture.width - 1}, index >> ${Math.log2(facts.texture.width)}), 0); }

// Devices differ in how exact their own sine is, and in how far from zero. Half turns are taken off in two steps.
vec4 sine(vec4 z) {
  vec4 turns = round(z * 0.3183098861837907);
  vec4 r = (z - turns * 3.140625) - turns * 9.67653589793e-4, s = r * r;
  vec4 y = r + r * s * (-1.6666666667e-1 + s * (8.3333333333e-3 + s * (-1.9841269841e-4 + s * (2.7557319224e-6 - s * 2.5052108385e-8))));
  return y * (1.0 - 2.0 * mod(turns, 2.0));
}

void main() {
  vec2 offset = (gl_FragCoord.xy - middle) * step_;
  if (offset.x < edges.x || offset.y < edges.y || offset.x > edges.z || offset.y > edges.w) { colour = vec4(0.33, 0.33, 0.33, 1); return; }
  vec4 a[${widest}], b[${widest}];
  float frequency = ${facts.omega.toFixed(8)};
  ${modulation ? `{${modulation.code}
  float f = ${modulation.result}.x;
  if (map) {
    float share = clamp((f - ${low.toFixed(8)}) / ${Math.max(high - low, 1e-6).toFixed(8)}, 0.0, 1.0);
    colour = vec4(mix(mix(vec3(0.84, 0.37, 0.0), vec3(1), min(2.0 * share, 1.0)), vec3(0.0, 0.45, 0.70), max(2.0 * share - 1.0, 0.0)), 1);
    return;
  }
  frequency += ${facts.sigma.toFixed(8)} * f;
  }` : ''}
  ${genesis.code}
  vec3 rgb = ${genesis.result}.rgb;
  colour = vec4(clamp(${facts.symmetric ? '0.5 * rgb + 0.5' : 'rgb'}, 0.0, 1.0), 1);
}`;
}

// The encoding's angles at a place, as 64-bit numbers and without whole turns: 32 bits would step, seen from a thousandth.
function phasesAt(periods, x, y) {
  const turn = 2 * Math.PI;
  return new Float32Array(periods.flatMap((p) => [(p * x) % turn, (p * y) % turn, p]));
}

// An enlarged picture, to stand beside the network: the nearest pixel, or Keys' bicubic kernel with a = −1/2.
const SHADER_OF_PICTURE = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
uniform sampler2D picture;
uniform vec2 place, step_, middle;  // in pixels of the picture, 0 the middle of the first
uniform bool smooth_;
out vec4 colour;

vec4 at(ivec2 p) { return texelFetch(picture, clamp(p, ivec2(0), textureSize(picture, 0) - 1), 0); }
vec4 cubic(float t) {
  vec4 d = abs(vec4(t + 1.0, t, t - 1.0, t - 2.0)), e = d * d;
  return mix(1.0 + e * (1.5 * d - 2.5), 2.0 - 4.0 * d + e * (2.5 - 0.5 * d), greaterThan(d, vec4(1)));
}
void main() {
  vec2 u = place + (gl_FragCoord.xy - middle) * step_, size = vec2(textureSize(picture, 0));
  if (u.x < -0.5 || u.y < -0.5 || u.x > size.x - 0.5 || u.y > size.y - 0.5) { colour = vec4(0.33, 0.33, 0.33, 1); return; }
  if (!smooth_) { colour = at(ivec2(floor(u + 0.5))); return; }
  ivec2 corner = ivec2(floor(u));
  vec4 across = cubic(fract(u.x)), down = cubic(fract(u.y)), sum = vec4(0);
  for (int j = 0; j < 4; j++) for (int i = 0; i < 4; i++) sum += across[i] * down[j] * at(corner + ivec2(i, j) - 1);
  colour = vec4(clamp(sum.rgb, 0.0, 1.0), 1);
}`;
