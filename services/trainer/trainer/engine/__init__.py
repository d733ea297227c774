"""What reaches outside: the object store, files, tokenizers and models, the child process."""
