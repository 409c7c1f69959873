"""Rules held against plain guidance in worlds where it is known, or judged, how good their samples are."""
