"""Learn: train, measure, calibrate and export the detector; torch lives here and only here."""
