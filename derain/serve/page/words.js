/** What the page says: errors in plain words, numbers, and names of files. */

/** Endings that results keep, and the type of file each stands for. */
const TYPES = {
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  jpe: "image/jpeg",
  jfif: "image/jpeg",
  png: "image/png",
  webp: "image/webp",
  tif: "image/tiff",
  tiff: "image/tiff",
  bmp: "image/bmp",
  avif: "image/avif",
  heic: "image/heic",
  heif: "image/heif",
  hif: "image/heif",
};
const ENDINGS = {
  "image/jpeg": "jpg",
  "image/png": "png",
  "image/webp": "webp",
  "image/tiff": "tif",
  "image/bmp": "bmp",
  "image/avif": "avif",
};
const FORMATS = {
  "image/jpeg": "JPEG",
  "image/png": "PNG",
  "image/webp": "WebP",
  "image/tiff": "TIFF",
  "image/bmp": "BMP",
  "image/avif": "AVIF",
  "image/heic": "HEIC",
  "image/heif": "HEIC",
};

const split = (name) => /^(.+?)(?:\.([^.]*))?$/s.exec(name)?.slice(1) ?? [name, undefined];

/** The type of a file by what the browser says of it, or else by its name; "" if unknown. */
export function typeOf(file) {
  if (file.type && file.type !== "application/octet-stream") return file.type;
  return TYPES[split(file.name)[1]?.toLowerCase()] ?? "";
}

/** "TIFF" for image/tiff; the ending for other types. */
export function formatName(type) {
  return FORMATS[type] ?? type.replace(/^image\//, "").toUpperCase();
}

/** "MD" for README.md; "?" for a name without ending. */
export function endingOf(name) {
  return (split(name)[1] ?? "?").slice(0, 5).toUpperCase();
}

/** The text with a capital letter and a full stop. */
export function sentence(text) {
  return text ? `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.` : "";
}

/** photo.JPG becomes photo_derained.JPG; with another ending only where the type asks for it. */
export function resultName(name, type) {
  const [stem, ending] = split(name);
  const keeps = ending && TYPES[ending.toLowerCase()] === type;
  return `${stem}_derained.${keeps ? ending : (ENDINGS[type] ?? ending ?? "png")}`;
}

/** Names that all differ, by a number before the ending where two are the same. */
export function distinct(names) {
  const taken = new Set();
  return names.map((name) => {
    const [stem, ending] = split(name);
    let free = name;
    for (let count = 2; taken.has(free.toLowerCase()); count += 1) {
      free = `${stem}-${count}${ending === undefined ? "" : `.${ending}`}`;
    }
    taken.add(free.toLowerCase());
    return free;
  });
}

/** 1 536 000 as "1.5 MB". */
export function bytes(count) {
  const units = ["bytes", "KB", "MB", "GB"];
  let size = count;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const shown = unit && size < 10 ? Number(size.toFixed(1)) : Math.round(size);
  return `${shown} ${units[unit]}`;
}

/** 12 300 000 as "12 megapixels". */
export function megapixels(count) {
  const millions = count / 1e6;
  return `${millions < 10 ? Number(millions.toFixed(1)) : Math.round(millions)} megapixels`;
}

/** 0.34 as "0.3 s", 125 as "2 min 5 s". */
export function duration(seconds) {
  if (seconds < 10) return `${Math.max(seconds, 0.1).toFixed(1).replace(/\.0$/, "")} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export const percent = (share) => `${Math.round(share * 100)}%`;

/** "1 picture", "3 pictures". */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const PROBLEMS = {
  unreachable: [
    "The server does not answer",
    "Check that it is still running and that you are connected, then try again.",
  ],
  large: [
    "This picture is too large",
    "Make it smaller, or ask whoever runs the server for a higher limit.",
  ],
  picture: [
    "This file cannot be read as a picture",
    "Open it in another program and save it as JPEG or PNG, then add it again.",
  ],
  option: ["The server does not take these settings", "Change them, then try again."],
  key: ["This server asks for a key", "Enter it above."],
  refused: [
    "The server refused this page",
    "Open the page by the address that the server printed when it started.",
  ],
  sending: [
    "The picture could not be sent in time",
    "Try again on a better connection, or make the picture smaller.",
  ],
  slow: ["This took too long", "Choose Fast, or make the picture smaller, then try again."],
  stopping: ["The server is shutting down", "Try again when it is back."],
  memory: ["This picture needs more memory than there is", "Make it smaller, then add it again."],
  other: [
    "The server could not do this picture",
    "Try again. If it fails once more, its log says why.",
  ],
};
const WORTH_RETRYING = new Set([
  "unreachable",
  "option",
  "refused",
  "sending",
  "slow",
  "stopping",
  "other",
]);

/**
 * Say what went wrong and what to do.
 * @param {{kind?: string, detail?: string, title?: string}} error what an engine threw
 * @returns {{title: string, detail: string, again: boolean}} again: whether a retry may help
 */
export function problem(error) {
  const kind = error.kind in PROBLEMS ? error.kind : "other";
  const [title, advice] = PROBLEMS[kind];
  // The engine's line ends with what to do; the page's own advice is for errors without one.
  return { title: error.title || title, detail: sentence(error.detail || advice), again: WORTH_RETRYING.has(kind) };
}

/**
 * Say how far a picture is.
 * @returns {{title: string, detail: string, share: number | null}} share: null if unknown
 */
export function stage(progress) {
  const { state, share = 0, place = 0, done = 0, total = 0, seconds = 0 } = progress;
  switch (state) {
    case "uploading":
      return { title: "Sending the picture", detail: percent(share), share };
    case "queued":
      return {
        title: "Waiting for the server",
        detail: place ? `${counted(place, "picture")} before this one` : "This one is next",
        share: null,
      };
    case "busy":
      return {
        title: "The server is busy",
        detail: seconds > 0 ? `Trying again in ${Math.ceil(seconds)} s` : "Trying again",
        share: null,
      };
    case "working": {
      const known = total > 0 && done > 0;
      return {
        title: "Taking the rain out",
        detail: known ? percent(done / total) : "",
        share: known ? done / total : null,
      };
    }
    case "loading":
      return { title: "Loading the model", detail: share ? percent(share) : "", share };
    case "reading":
      return { title: "Reading the picture", detail: "", share: null };
    case "saving":
      return { title: "Saving the result", detail: "", share: null };
    case "elsewhere":
      return {
        title: "Waiting for another tab",
        detail: "It works on a picture, and they take turns",
        share: null,
      };
    case "key":
      return { title: PROBLEMS.key[0], detail: PROBLEMS.key[1], share: null };
    case "preview":
      return { title: "Making a view of it", detail: "", share: null };
    default:
      return { title: "Waiting for its turn", detail: "", share: null };
  }
}
