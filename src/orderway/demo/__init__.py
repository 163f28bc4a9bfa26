"""The demo: thousands of real purchases, carried by shop processes that are killed again and again.

``purchases`` reads the input, ``fates`` deals what goes wrong with each payment, ``shop`` is one shop process,
``run`` starts and kills the shops, ``watch`` counts while they work, ``audit`` adds everything up at the end.
Every number shown is counted from the databases or by the processes themselves.
"""
