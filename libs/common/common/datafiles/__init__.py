"""Files that hold data sets: CSV, TSV, TXT, JSON, JSON Lines and Parquet, compressed or not, read some rows at a time.

The registry analyses them and the trainer takes them in; both read them with this, so that a row is the same row to
both. Whatever a file's size, some rows of it are in memory. What is wrong with one is told with its line.

`files.DataFile` is where to begin. Nothing is imported here: polars sets itself up when it is, which belongs into the
process that reads.
"""
