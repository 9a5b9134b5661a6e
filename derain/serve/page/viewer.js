/**
 * Before and after, one over the other, with a divider between them.
 *
 *     stage                      Each side is as large as the stage and cut off at the divider.
 *     +-----------+-----------+  The pictures in both are moved and scaled alike, so that the
 *     |   before  <>  after   |  divider stays where it is while the picture is zoomed.
 *     +-----------+-----------+
 */

const MOST_ZOOM = 16;
/** Small pictures are not blown up more than so to fit. */
const MOST_FIT = 3;
const ZOOM_STEP = 1.5;
const PAN_STEP = 60;
const REVEAL_MS = 800;
/** Room that a label takes, in pixels. */
const LABEL = 84;

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

/** Shows one picture at a time in the element #stage. */
export class Viewer {
  /** @param {(scale: number) => void} onZoom gets device pixels per pixel of the picture */
  constructor(onZoom) {
    this.onZoom = onZoom;
    this.stage = document.getElementById("stage");
    this.divider = document.getElementById("divider");
    this.images = {
      before: document.getElementById("before"),
      after: document.getElementById("after"),
    };
    this.sides = Object.fromEntries(
      [...this.stage.querySelectorAll(".side")].map((side) => [side.dataset.side, side]),
    );
    this.tags = Object.fromEntries(
      [...this.stage.querySelectorAll(".tag")].map((tag) => [tag.dataset.tag, tag]),
    );
    this.size = null;
    this.share = 0.5;
    this.isFit = true;
    this.pointers = new Map();
    this.#listen();
  }

  /**
   * Show a picture; views are {url, width, height} or null.
   * A view of the same size keeps zoom and divider, so that results can be compared.
   */
  show({ before, after, name }) {
    const shown = after ?? before;
    const size = shown && { width: shown.width, height: shown.height };
    const isSame =
      size && this.size && size.width === this.size.width && size.height === this.size.height;
    this.size = size;
    this.has = { before: Boolean(before), after: Boolean(after) };
    for (const [side, view] of Object.entries({ before, after })) this.#load(side, view, name);
    this.divider.hidden = !(before && after);
    this.stage.classList.toggle("comparing", Boolean(before && after));
    this.stage.classList.toggle("empty", !shown);
    if (!shown) return;
    // Where the stage has room, it takes the picture's form.
    this.stage.style.setProperty("--ratio", String(size.width / size.height));
    if (!isSame) this.isFit = true;
    this.#place();
  }

  /** Draw the divider from the right to the middle, as if the rain were wiped away. */
  reveal() {
    cancelAnimationFrame(this.frame);
    this.divideAt(0.5);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const begin = performance.now();
    const step = (now) => {
      const passed = clamp((now - begin) / REVEAL_MS, 0, 1);
      const eased = 1 - (1 - passed) ** 3;
      this.divideAt(1 - eased / 2);
      if (passed < 1) this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }

  /** Put the divider at a share, 0 to 1, of the width that is seen of the picture. */
  divideAt(share) {
    this.share = clamp(share, 0, 1);
    this.#divide();
  }

  fit() {
    this.isFit = true;
    this.#place();
  }

  /** Zoom by a factor about a point of the stage, by default its middle. */
  zoomBy(factor, point) {
    if (this.size) this.#zoomTo(this.scale * factor, point);
  }

  /** One pixel of the picture is one of the screen. */
  zoomFull(point) {
    if (this.size) this.#zoomTo(1 / devicePixelRatio, point);
  }

  #load(side, view, name) {
    const image = this.images[side];
    this.sides[side].hidden = !view;
    this.tags[side].hidden = !view;
    if (!view) image.removeAttribute("src");
    else if (image.src !== view.url) image.src = view.url;
    image.alt = view ? `${name}, ${side === "before" ? "with rain" : "without rain"}` : "";
  }

  #listen() {
    const { stage } = this;
    new ResizeObserver(() => this.#place()).observe(stage);
    stage.addEventListener("pointerdown", (event) => this.#press(event));
    stage.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) {
      stage.addEventListener(end, (event) => this.#release(event));
    }
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => {
      if (!this.isFit) this.fit();
      else this.zoomFull(this.#point(event));
    });
    stage.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Work out where the picture lies after the stage, the picture or the zoom has changed. */
  #place() {
    if (!this.size) return;
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    const whole = Math.min(width / this.size.width, height / this.size.height);
    this.least = Math.min(whole, MOST_FIT);
    if (this.isFit) this.scale = this.least;
    const [spanX, spanY] = [this.size.width * this.scale, this.size.height * this.scale];
    const along = (span, room, at) =>
      span <= room ? (room - span) / 2 : clamp(at ?? 0, room - span, 0);
    this.x = along(spanX, width, this.x);
    this.y = along(spanY, height, this.y);
    for (const image of Object.values(this.images)) {
      image.style.width = `${this.size.width}px`;
      image.style.height = `${this.size.height}px`;
      image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    }
    const zoom = this.scale * devicePixelRatio;
    this.stage.classList.toggle("zoomed", !this.isFit);
    this.stage.classList.toggle("pixels", zoom >= 3);
    this.seen = { left: Math.max(this.x, 0), right: Math.min(this.x + spanX, width), width };
    this.#divide();
    this.onZoom(zoom);
  }

  #divide() {
    if (!this.seen) return;
    const { left, right, width } = this.seen;
    const at = left + this.share * (right - left);
    this.divider.style.transform = `translateX(${at}px)`;
    // Where there is one picture alone, it is whole.
    const isTwo = this.has?.before && this.has.after;
    this.sides.before.style.clipPath = isTwo ? `inset(0 ${width - at}px 0 0)` : "none";
    this.sides.after.style.clipPath = isTwo ? `inset(0 0 0 ${at}px)` : "none";
    this.#label(at, Boolean(isTwo));
    const before = Math.round(this.share * 100);
    this.divider.setAttribute("aria-valuenow", String(before));
    this.divider.setAttribute("aria-valuetext", valueText(before));
  }

  /**
   * Put the labels into the corners of the picture, or of the stage if the picture is narrow.
   * One that the divider passes is hidden.
   */
  #label(at, isTwo) {
    const { left, right, width } = this.seen;
    const [from, to] = right - left < 2 * LABEL ? [0, width] : [left, right];
    this.tags.before.style.left = `calc(${from}px + 0.75rem)`;
    this.tags.after.style.right = `calc(${width - to}px + 0.75rem)`;
    this.tags.before.classList.toggle("away", isTwo && at - from < LABEL);
    this.tags.after.classList.toggle("away", isTwo && to - at < LABEL);
  }

  /** Where a pointer is, in pixels of the stage. */
  #point({ clientX, clientY }) {
    const box = this.stage.getBoundingClientRect();
    return {
      x: clientX - box.left - this.stage.clientLeft,
      y: clientY - box.top - this.stage.clientTop,
    };
  }

  #zoomTo(scale, point) {
    const about = point ?? { x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2 };
    const least = Math.min(this.least, 1 / devicePixelRatio);
    const next = clamp(scale, least, MOST_ZOOM / devicePixelRatio);
    const ratio = next / this.scale;
    this.x = about.x - (about.x - this.x) * ratio;
    this.y = about.y - (about.y - this.y) * ratio;
    this.scale = next;
    this.isFit = Math.abs(next / this.least - 1) < 1e-6;
    this.#place();
  }

  #pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#place();
  }

  #press(event) {
    if (event.button !== 0 || !this.size) return;
    cancelAnimationFrame(this.frame);
    this.stage.setPointerCapture(event.pointerId);
    const point = this.#point(event);
    this.pointers.set(event.pointerId, point);
    if (this.pointers.size > 1) {
      this.mode = "pinch";
      return;
    }
    const onDivider = this.divider.contains(event.target);
    const isTwo = this.has.before && this.has.after;
    this.mode = isTwo && (onDivider || this.isFit) ? "divide" : "pan";
    if (this.mode === "divide") {
      // From the handle it is moved as far as the pointer; elsewhere it comes to the pointer.
      const at = this.seen.left + this.share * (this.seen.right - this.seen.left);
      this.grip = onDivider ? point.x - at : 0;
      this.#divideAtPoint(point);
      this.divider.focus({ preventScroll: true });
      event.preventDefault();
    }
    this.stage.classList.add("held");
  }

  #drag(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) return;
    const point = this.#point(event);
    if (this.mode === "divide") this.#divideAtPoint(point);
    if (this.mode === "pan") this.#pan(point.x - last.x, point.y - last.y);
    if (this.mode === "pinch") this.#pinch(event.pointerId, last, point);
    this.pointers.set(event.pointerId, point);
  }

  #pinch(id, last, point) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const apart = (one) => Math.max(Math.hypot(one.x - other.x, one.y - other.y), 1);
    const middle = { x: (point.x + other.x) / 2, y: (point.y + other.y) / 2 };
    this.x += (point.x - last.x) / 2;
    this.y += (point.y - last.y) / 2;
    this.zoomBy(apart(point) / apart(last), middle);
  }

  #release(event) {
    this.pointers.delete(event.pointerId);
    if (this.pointers.size === 1) this.mode = this.isFit ? "none" : "pan";
    if (!this.pointers.size) this.stage.classList.remove("held");
  }

  #divideAtPoint({ x }) {
    const { left, right } = this.seen;
    this.divideAt((x - this.grip - left) / Math.max(right - left, 1));
  }

  #wheel(event) {
    if (!this.size) return;
    // A picture that cannot become smaller lets the page scroll.
    const isSmallest = this.isFit && event.deltaY > 0;
    if (isSmallest && !event.ctrlKey) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    // Pinching on a touchpad comes as small steps with ctrlKey.
    const speed = event.ctrlKey ? 0.01 : 0.002;
    this.zoomBy(Math.exp(-clamp(event.deltaY * lines, -300, 300) * speed), this.#point(event));
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.size) return;
    const onDivider = event.target === this.divider;
    const action =
      this.#zoomKey(event.key) ??
      (onDivider ? this.#divideKey(event.key) : this.#panKey(event.key));
    if (!action) return;
    event.preventDefault();
    cancelAnimationFrame(this.frame);
    action();
  }

  #zoomKey(key) {
    return {
      "+": () => this.zoomBy(ZOOM_STEP),
      "=": () => this.zoomBy(ZOOM_STEP),
      "-": () => this.zoomBy(1 / ZOOM_STEP),
      0: () => this.fit(),
      1: () => this.zoomFull(),
    }[key];
  }

  #divideKey(key) {
    const by = {
      ArrowLeft: -2,
      ArrowDown: -2,
      ArrowRight: 2,
      ArrowUp: 2,
      PageDown: -10,
      PageUp: 10,
    }[key];
    if (by) return () => this.divideAt((Math.round(this.share * 100) + by) / 100);
    return { Home: () => this.divideAt(0), End: () => this.divideAt(1) }[key];
  }

  #panKey(key) {
    // At fit the arrow keys scroll the page, as they do elsewhere.
    if (this.isFit) return undefined;
    return {
      ArrowLeft: () => this.#pan(PAN_STEP, 0),
      ArrowRight: () => this.#pan(-PAN_STEP, 0),
      ArrowUp: () => this.#pan(0, PAN_STEP),
      ArrowDown: () => this.#pan(0, -PAN_STEP),
    }[key];
  }
}

function valueText(before) {
  if (before === 0) return "After only";
  if (before === 100) return "Before only";
  return `Before on the left ${before}%, after on the right ${100 - before}%`;
}
