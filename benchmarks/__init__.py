"""Speed and accuracy of nllkern beside other libraries."""
