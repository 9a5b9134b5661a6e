/** What the build knows of the files beside the page (`tools/site.ts`). */
declare module "virtual:site" {
  /** A file beside the page: its path from the page, and its bytes when it is unpacked. */
  export interface SiteFile {
    path: string;
    bytes: number;
  }

  export interface SiteModel {
    graph: SiteFile;
    weights: SiteFile;
    /** What the graph calls the file of its weights. */
    weightsName: string;
  }

  export interface SiteRuntime {
    script: SiteFile;
    binary: SiteFile;
  }

  export const models: Record<string, SiteModel>;
  export const runtimes: Record<"wasm" | "webgpu", SiteRuntime>;
}
