"""Takes the configuration of an earlier RingCentral and Zoho integration over: offices, people, mappings, mail, secrets.

Its files come in two families, told apart by their shape: M is what the manual describes, R what the scripts of the
working edition read and write. A file is taken whole or not at all, and the second import of the same files changes
nothing.
"""
