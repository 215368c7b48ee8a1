"""Make data: register photos, draw damage, photograph, doctor, deliver, audit.

    products  groups                                   which photos, which belong together
    foreground  shot                                   one framed product: outline, light, exposures
    damage    brittle cloth stiff board soils          the kinds, by material; drawn with
              spot layer strokes raster textures
    capture   sensor finishing encoders                the camera
    doctor    edits regenerate inpaint align           what an editor does to a finished photo
              decoders autoencoder tiles
    channel   markup ink screens softening             what happens to any photo on its way
    dataset                                            all of it, for every product
    audit     probes duplicates card contact_sheet     could a model cheat on it?

The first word of a line is the stage, the others are its parts.
"""
