/** The page as `derain serve` sends it: the server derains. */

import { start } from "./derain.js";
import { ServerEngine } from "./engine.js";

start(new ServerEngine());
