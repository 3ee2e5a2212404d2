"""Every sentence, caption, verdict word and methods section about decisions, made from their records and only here.

Whoever shows a comparison places what these functions return. They read decisions and test nothing, so that no two
places can say different things.
"""
