'use strict';
// The window on a file: where it looks, what stands beside what, and when there is time to paint every pixel.

(function () {
  const file = JSON.parse(document.getElementById('file').textContent);
  const stage = document.getElementById('stage'), screen = document.getElementById('screen');
  const decoded = document.getElementById('decoded'), corner = document.getElementById('corner');
  const gl = screen.getContext('webgl2', { antialias: false, preserveDrawingBuffer: true });
  const FRAME = 0.04;  // seconds that a frame may take while something moves
  const MOST_BANDS = 48;  // that a panel is painted in: more would take longer than what they paint
  const DEEPEST = 1000;
  const view = { x: (file.width - 1) / 2, y: (file.height - 1) / 2, zoom: 1 };  // in pixels of the picture, 0 the middle of the first
  const beside = { nearest: false, bicubic: false, map: false };
  let cost = file.operations * 1e-9;  // seconds a pixel: a slow guess, until the first are measured
  let band = 8;  // rows that are painted at once where the whole takes longer than a frame may
  let moved = true, waiting = [];  // whether to begin anew; rows that are still to be painted

  // ---------------------------------------------------------------------------------------- what WebGL needs

  function program(source) {
    const vertex = `#version 300 es
    void main() { gl_Position = vec4(vec2[3](vec2(-1), vec2(3, -1), vec2(-1, 3))[gl_VertexID], 0, 1); }`;
    const made = gl.createProgram();
    [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, source]].forEach(([kind, text]) => {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    });
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) || 'the shader has no program');
    return made;
  }

  function texture(set) {
    const made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER].forEach((each) => gl.texParameteri(gl.TEXTURE_2D, each, gl.NEAREST));
    set();
    return made;
  }

  const ofImage = (image) => texture(() => gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image));
  const ofBytes = (bytes) => texture(() =>
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, file.width, file.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(bytes.buffer)));
  const ofWeights = (stored) => texture(() => gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, stored.width, stored.height, 0, gl.RGBA, gl.FLOAT,
    unpacked(stored.data, Float32Array)));

  async function imageOf(source) {
    const image = new Image();
    image.src = source;
    await image.decode();
    return image;
  }

  // ---------------------------------------------------------------------------------------- panels

  const network = file.network, programs = {}, textures = {};
  const target = { buffer: null, texture: null, width: 0, height: 0 };

  function panels() {
    const shown = [network ? 'network' : 'picture', ...Object.keys(beside).filter((name) => beside[name])];
    const width = Math.floor(screen.width / shown.length);
    return shown.map((name, index) => ({ name, left: index * width, width, height: screen.height, slow: !!network && (name === 'network' || name === 'map') }));
  }

  const perPixel = (panel) => view.zoom * Math.min(panel.width / file.width, panel.height / file.height);

  // Sets all uniforms of a panel that is painted with every `coarse`-th pixel of the screen.
  function prepare(panel, coarse) {
    const used = panel.slow ? programs.network : programs.picture, at = (name) => gl.getUniformLocation(used, name);
    const step = coarse / perPixel(panel);
    gl.useProgram(used);
    gl.uniform2f(at('middle'), panel.width / 2 / coarse, panel.height / 2 / coarse);
    if (!panel.slow) {
      gl.bindTexture(gl.TEXTURE_2D, panel.name === 'map' ? textures.bits : textures.picture);
      gl.uniform2f(at('place'), view.x, view.y);
      gl.uniform2f(at('step_'), step, step);
      gl.uniform1i(at('smooth_'), panel.name === 'bicubic');
      return;
    }
    const [scaleX, shiftX, scaleY, shiftY] = network.domain;
    const wide = file.width > 1 ? 2 * scaleX / (file.width - 1) : 0, high = file.height > 1 ? 2 * scaleY / (file.height - 1) : 0;
    const x = wide ? wide * view.x - scaleX + shiftX : shiftX, y = high ? high * view.y - scaleY + shiftY : shiftY;
    gl.bindTexture(gl.TEXTURE_2D, textures.weights);
    gl.uniform1i(at('zero'), 0);
    gl.uniform2f(at('place'), x, y);
    gl.uniform2f(at('step_'), step * wide, step * high);
    const edge = (length, centre, scale) => [(-0.5 - centre) * scale, (length - 0.5 - centre) * scale];
    const [left, right] = wide ? edge(file.width, view.x, wide) : [-1, 1], [top, bottom] = high ? edge(file.height, view.y, high) : [-1, 1];
    gl.uniform4f(at('edges'), left, top, right, bottom);
    const set = (name, periods) => periods.length && gl.uniform3fv(at(name), phasesAt(periods, x, y));
    set('phases', network.genesis.periods);
    if (network.modulation) set('slow', network.modulation.periods);
    gl.uniform1i(at('map'), panel.name === 'map');
  }

  function resizeTarget() {
    if (target.width === screen.width && target.height === screen.height) return;
    gl.deleteTexture(target.texture);
    Object.assign(target, { width: screen.width, height: screen.height, buffer: target.buffer || gl.createFramebuffer() });
    target.texture = texture(() => gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, target.width, target.height));
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.buffer);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target.texture, 0);
  }

  // Paints rows `top` … `bottom` − 1 of a panel aside, and lays them enlarged on the screen; rows count from above. Says how long it took.
  function paint(panel, coarse, top, bottom) {
    const started = performance.now(), columns = Math.ceil(panel.width / coarse);
    resizeTarget();
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.buffer);
    prepare(panel, coarse);
    gl.viewport(0, 0, columns, Math.ceil(panel.height / coarse));
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(0, top, columns, bottom - top);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.readPixels(0, top, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));  // waits until it is painted
    const seconds = (performance.now() - started) / 1000, high = screen.height;
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, target.buffer);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
    gl.scissor(panel.left, 0, panel.width, high);
    gl.blitFramebuffer(0, top, columns, bottom, panel.left, high - top * coarse, panel.left + columns * coarse, high - bottom * coarse,
      gl.COLOR_BUFFER_BIT, gl.NEAREST);
    if (panel.slow) learn(seconds, columns * (bottom - top), panel.width * panel.height / 4);
    return seconds;
  }

  // Every paint has costs of its own, so a small one says only that a pixel takes no longer than this.
  function learn(seconds, pixels, many) {
    if (pixels > 500 && (pixels > many || seconds / pixels < cost)) cost = 0.5 * cost + 0.5 * seconds / pixels;
  }

  // ---------------------------------------------------------------------------------------- frames

  function frame() {
    if (moved) {
      moved = false;
      waiting = [];
      const all = panels(), slow = all.filter((panel) => panel.slow).length;
      all.forEach((panel) => {
        const pixels = panel.width * panel.height * Math.max(slow, 1);
        const coarse = panel.slow ? Math.max(1, Math.ceil(Math.sqrt(cost * pixels / FRAME))) : 1;
        paint(panel, coarse, 0, Math.ceil(panel.height / coarse));
        if (coarse > 1) waiting.push({ panel, top: 0, seconds: 0 });
      });
    } else if (waiting.length) {
      let left = FRAME;
      while (waiting.length && left > 0) {
        const { panel, top } = waiting[0], bottom = Math.min(panel.height, top + band), seconds = paint(panel, 1, top, bottom);
        left -= Math.max(seconds, 1e-3);
        if (seconds < FRAME / 2) band *= 2;
        else if (seconds > 2 * FRAME) band = Math.max(band >> 1, Math.ceil(panel.height / MOST_BANDS));
        Object.assign(waiting[0], { top: bottom, seconds: waiting[0].seconds + seconds });
        if (bottom === panel.height) {
          if (panel.slow) cost = waiting[0].seconds / (panel.width * panel.height);  // bands beside the picture cost nothing: all together
          waiting.shift();
        }
      }
    }
    tell();
    screen.dataset.state = waiting.length ? 'working' : 'done';
    if (waiting.length && !moved) requestAnimationFrame(frame);
  }

  function look() {
    if (!moved && !waiting.length) requestAnimationFrame(frame);
    moved = true;
    screen.dataset.state = 'working';
  }

  function tell() {
    const number = (value) => value.toLocaleString('en-GB', value < 10 ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 0 });
    const lines = [`zoom ${number(view.zoom)}×`, `${number(file.bytes)} bytes`, `${number(file.weights)} weights`,
      `${number(file.operations)} multiply-adds a pixel`];
    if (network) lines.push(`${number(1 / (cost * screen.width * screen.height))} frames/s at ${screen.width}×${screen.height}`);
    corner.textContent = lines.join('\n');
    document.getElementById('names').replaceChildren(...panels().map(({ name, left }) => {
      const label = document.createElement('span');
      label.textContent = name === 'map' && !network ? 'bits' : name;
      label.style.left = `calc(${100 * left / screen.width}% + 8px)`;
      return label;
    }));
  }

  // ---------------------------------------------------------------------------------------- hands

  function clampView() {
    view.zoom = Math.min(Math.max(view.zoom, 1), DEEPEST);
    view.x = Math.min(Math.max(view.x, -0.5), file.width - 0.5);
    view.y = Math.min(Math.max(view.y, -0.5), file.height - 0.5);
  }

  // What a place on the screen shows: from the middle of its panel, in pixels of the picture.
  function under(event) {
    const box = screen.getBoundingClientRect(), ratio = screen.width / box.width, [first] = panels();
    const x = ((event.clientX - box.left) * ratio) % first.width - first.width / 2, y = (event.clientY - box.top) * ratio - first.height / 2;
    return { x: x / perPixel(first), y: y / perPixel(first) };
  }

  function zoomBy(factor, event) {
    const before = event ? under(event) : { x: 0, y: 0 };
    const old = view.zoom;
    view.zoom = Math.min(Math.max(view.zoom * factor, 1), DEEPEST);
    view.x += before.x * (1 - old / view.zoom);
    view.y += before.y * (1 - old / view.zoom);
    if (view.zoom === 1) whole();
    clampView();
    look();
  }

  function whole() {
    Object.assign(view, { x: (file.width - 1) / 2, y: (file.height - 1) / 2, zoom: 1 });
  }

  // A pixel of the screen for each of the picture, the middles on each other.
  function oneToOne() {
    const [panel] = panels();
    whole();
    view.zoom = 1 / perPixel(panel);
    view.x += ((panel.width - file.width) % 2) / 2;
    view.y += ((panel.height - file.height) % 2) / 2;
    look();
  }

  const fingers = new Map();
  screen.addEventListener('pointerdown', (event) => {
    screen.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
  });
  ['pointerup', 'pointercancel'].forEach((name) => screen.addEventListener(name, (event) => fingers.delete(event.pointerId)));
  screen.addEventListener('pointermove', (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const other = [...fingers.values()].find((each) => each.pointerId !== event.pointerId);
    const ratio = screen.width / screen.getBoundingClientRect().width / perPixel(panels()[0]) / fingers.size;
    view.x -= (event.clientX - last.clientX) * ratio;
    view.y -= (event.clientY - last.clientY) * ratio;
    fingers.set(event.pointerId, event);
    if (other) {
      const apart = (each) => Math.hypot(each.clientX - other.clientX, each.clientY - other.clientY);
      zoomBy(apart(event) / Math.max(apart(last), 1), { clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 });
    }
    clampView();
    look();
  });
  screen.addEventListener('wheel', (event) => {
    // inside a notebook the wheel scrolls the notebook until the picture has been touched
    if (window.top !== window.self && document.activeElement !== screen) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), event);
  }, { passive: false });

  function move(x, y) {
    view.x += x * file.width / view.zoom / 10;
    view.y += y * file.height / view.zoom / 10;
    clampView();
    look();
  }

  function toggle(name) {
    beside[name] = !beside[name];
    buttons[name].setAttribute('aria-pressed', beside[name]);
    document.getElementById('legend').hidden = !beside.map;
    look();
  }

  const buttons = {}, keys = {
    '+': () => zoomBy(1.25), '=': () => zoomBy(1.25), '-': () => zoomBy(0.8), '0': () => { whole(); look(); }, '1': oneToOne,
    ArrowLeft: () => move(-1, 0), ArrowRight: () => move(1, 0), ArrowUp: () => move(0, -1), ArrowDown: () => move(0, 1),
  };
  function button(name, key, action, text) {
    const made = document.createElement('button');
    made.type = 'button';
    made.textContent = `${text} (${key})`;
    made.addEventListener('click', action);
    keys[key.toLowerCase()] = action;
    document.getElementById('buttons').append(made);
    buttons[name] = made;
    return made;
  }
  function addButtons() {
    button('whole', '0', keys['0'], 'whole picture');
    button('one', '1', oneToOne, 'pixel for pixel');
    button('in', '+', keys['+'], 'closer');
    button('out', '-', keys['-'], 'farther');
    const offered = [['nearest', 'N', 'nearest beside it'], ['bicubic', 'B', 'bicubic beside it']];
    const legend = document.getElementById('legend');
    if (network && network.modulation) {
      const [low, high] = network.modulation.range.map((f) => (network.omega + network.sigma * f).toFixed(1));
      offered.push(['map', 'M', 'modulation beside it']);
      legend.textContent = `The map: the frequency ω₀ + σ·f at each place, from ${low} or less (orange) to ${high} or more (blue).`;
    } else if (!network) {
      offered.push(['map', 'M', 'map of bits beside it']);
      legend.textContent = `The map: the bits that each pixel takes, from none (dark) to ${file.pyramid.bits.most.toPrecision(2)} (bright), all grids together.`;
    }
    offered.forEach(([name, key, text]) => button(name, key, () => toggle(name), text).setAttribute('aria-pressed', false));
    window.addEventListener('keydown', (event) => {
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey || event.target.matches('input')) return;
      event.preventDefault();
      action();
    });
  }

  // ---------------------------------------------------------------------------------------- the grids

  function showGrids() {
    const pyramid = file.pyramid, ticked = pyramid.grids.map(() => true), place = document.getElementById('grids');
    let planes = null;
    pyramid.grids.forEach((grid, level) => {
      const label = document.createElement('label'), box = document.createElement('input'), canvas = document.createElement('canvas');
      box.type = 'checkbox';
      box.checked = true;
      box.disabled = !gl;
      box.addEventListener('change', () => {
        ticked[level] = box.checked;
        planes = planes || features(pyramid);
        gl.deleteTexture(textures.picture);
        textures.picture = ofBytes(painted(pyramid, planes, ticked, file.height, file.width));
        look();
      });
      drawGrid(canvas, grid);
      canvas.style.width = `${Math.max(24, Math.min(grid.columns, 220))}px`;
      label.append(box, ` ${grid.columns}×${grid.rows}, ${Math.round(grid.bits / 8).toLocaleString('en-GB')} bytes`, canvas);
      place.append(label);
    });
    document.getElementById('pyramid').hidden = false;
  }

  // ---------------------------------------------------------------------------------------- the beginning

  function apologize() {
    screen.hidden = corner.hidden = true;
    decoded.hidden = document.getElementById('sorry').hidden = false;
    document.getElementById('buttons').hidden = true;
    screen.dataset.state = 'failed';
  }

  async function begin() {
    if (file.pyramid) showGrids();
    if (!gl) return apologize();
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.bindVertexArray(gl.createVertexArray());
    textures.picture = ofImage(await imageOf(file.decoded));
    programs.picture = program(SHADER_OF_PICTURE);
    if (network) {
      textures.weights = ofWeights(network.texture);
      programs.network = program(shaderOfNetwork(network));
    } else {
      textures.bits = ofImage(await imageOf(file.pyramid.bits.source));
    }
    decoded.hidden = true;
    screen.hidden = corner.hidden = false;
    addButtons();
    new ResizeObserver(() => {
      const ratio = window.devicePixelRatio || 1;
      screen.width = Math.max(1, Math.round(screen.clientWidth * ratio));
      screen.height = Math.max(1, Math.round(screen.clientHeight * ratio));
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
      moved = false;
      waiting = [];
      look();
    }).observe(screen);
    screen.addEventListener('webglcontextlost', apologize);
    return undefined;
  }
  begin().catch((error) => { console.warn(error); apologize(); });
})();
