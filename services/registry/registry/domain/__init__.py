"""What the registry decides: formats, summaries of data sets, previews, exports and model cards. No I/O."""
