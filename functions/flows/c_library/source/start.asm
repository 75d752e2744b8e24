; Where the program begins and ends, and the one system call that it makes (Linux on x86-64).
section code
global _start
global main
global system_write

_start:
  call main
  mov rdi, rax
  mov rax, 60
  syscall

system_write:
  mov rax, 1
  syscall
  ret
