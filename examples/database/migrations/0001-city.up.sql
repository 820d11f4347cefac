-- The city stood in the last line of the address.
alter table customers add column city text;
update customers set city = split_part(address, E'\n', 2);
alter table customers alter column city set not null;
