"""Making a process from its image: what `tiermem.cxlfork.restore` is made of.

- `source`: an image, with what a restorer needs open; `fitness`: whether this host will do;
- `ghost`: a restorer that was started ahead; `process`: what one has made;
- `failures`: what a restorer reports, in words.
"""
