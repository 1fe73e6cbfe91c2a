"""What is taken of a living process, one subject a module.

- `tracing`: its threads, stopped, and calls made in its name; `memory`: its bytes;
- `facts`: what /proc says of it;
- `areas`: what it has mapped; `pages`: which pages of that are stored;
- `descriptors` with `special_files`, `pipes` and `sockets`: what it has open;
- `threads`, `process`, `signals`, `timers`: the rest;
- `refusals`: what cannot be taken.
"""
