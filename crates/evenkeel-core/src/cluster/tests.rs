mod document;
mod frame;
mod machine;
