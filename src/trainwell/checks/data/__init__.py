"""The data: values, scales, labels, copies, order, augmentation."""
