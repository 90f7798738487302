'use strict';
// Latent grids, painted here: every grid is doubled to the picture's size once; then the synthesis mixes those that are ticked.

function unpacked(text, Kind) {
  return new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}

// Doubles a plane: a coarse sample k lands at 2k + 1/2, the borders are repeated. `kernel` has 8×8 weights.
function doubled(plane, rows, columns, fineRows, fineColumns, kernel) {
  const fine = new Float32Array(fineRows * fineColumns);
  for (let y = 0; y < fineRows; y++) {
    for (let x = 0; x < fineColumns; x++) {
      const k = y >> 1, l = x >> 1, a = y & 1, b = x & 1;
      let sum = 0;
      for (let i = -2; i <= 2; i++) {
        const down = a - 2 * i + 3;
        if (down < 0 || down > 7) continue;
        const row = Math.min(Math.max(k + i, 0), rows - 1) * columns;
        for (let j = -2; j <= 2; j++) {
          const across = b - 2 * j + 3;
          if (across < 0 || across > 7) continue;
          sum += kernel[8 * down + across] * plane[row + Math.min(Math.max(l + j, 0), columns - 1)];
        }
      }
      fine[y * fineColumns + x] = sum;
    }
  }
  return fine;
}

function features(pyramid) {
  return pyramid.grids.map((grid, level) => {
    let plane = Float32Array.from(unpacked(grid.data, Int16Array));
    for (; level > 0; level--) {
      const from = pyramid.grids[level], to = pyramid.grids[level - 1];
      plane = doubled(plane, from.rows, from.columns, to.rows, to.columns, pyramid.kernels[level - 1]);
    }
    return plane;
  });
}

// A plane seen from (down, across) beside each pixel, the borders repeated.
function shifted(plane, height, width, down, across) {
  const seen = new Float32Array(plane.length);
  for (let y = 0, at = 0; y < height; y++) {
    const row = Math.min(Math.max(y + down, 0), height - 1) * width;
    for (let x = 0; x < width; x++, at++) seen[at] = plane[row + Math.min(Math.max(x + across, 0), width - 1)];
  }
  return seen;
}

// Planes of features to three planes of colours, not clamped.
function synthesis(pyramid, planes, height, width) {
  let inputs = planes;
  pyramid.layers.forEach((layer, index) => {
    let seen = inputs;
    if (layer.kernel === 3) {
      seen = [-1, 0, 1].flatMap((down) => [-1, 0, 1].flatMap((across) => inputs.map((p) => shifted(p, height, width, down, across))));
    } else if (index === pyramid.skip) {
      seen = [...inputs, ...planes];
    }
    const stride = seen.length + 1, outputs = [];
    for (let o = 0; o < layer.outputs; o++) {
      const sum = new Float32Array(height * width).fill(layer.matrix[o * stride + stride - 1]);
      seen.forEach((plane, i) => {
        const weight = layer.matrix[o * stride + i];
        for (let at = 0; at < sum.length; at++) sum[at] += weight * plane[at];
      });
      if (layer.residual) for (let at = 0; at < sum.length; at++) sum[at] += inputs[o][at];
      if (layer.relu) for (let at = 0; at < sum.length; at++) if (sum[at] < 0) sum[at] = 0;
      outputs.push(sum);
    }
    inputs = outputs;
  });
  return inputs;
}

// The picture as bytes RGBA of the grids that are ticked.
function painted(pyramid, planes, ticked, height, width) {
  const nothing = new Float32Array(height * width);
  const colours = synthesis(pyramid, planes.map((plane, level) => (ticked[level] ? plane : nothing)), height, width);
  const bytes = new Uint8ClampedArray(4 * height * width).fill(255);
  colours.forEach((plane, c) => plane.forEach((value, at) => { bytes[4 * at + c] = Math.round(255 * value); }));
  return bytes;
}

// A grid as a small grey picture: zero in the middle, the largest integers black and white.
function drawGrid(canvas, grid) {
  const values = unpacked(grid.data, Int16Array), most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 1);
  canvas.width = grid.columns;
  canvas.height = grid.rows;
  const image = new ImageData(grid.columns, grid.rows);
  values.forEach((value, at) => {
    const grey = 127.5 + 127.5 * Math.sign(value) * Math.sqrt(Math.abs(value) / most);
    image.data.set([grey, grey, grey, 255], 4 * at);
  });
  canvas.getContext('2d').putImageData(image, 0, 0);
}
