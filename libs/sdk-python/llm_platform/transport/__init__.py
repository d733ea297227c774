"""What carries out what procedures want: once blocking, once for asyncio."""
