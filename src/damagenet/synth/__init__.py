"""Make data: register photos, draw damage, photograph, doctor, deliver, audit."""
