"""Ground floor: CIDs, codecs, blocks, UnixFS, CAR, tar streams. Imports nothing of ours."""
