// `import source from './x.wgsl' with { type: 'text' }` gives the shader's text, in Deno and through vite alike.
declare module '*.wgsl' {
  const source: string;
  export default source;
}
